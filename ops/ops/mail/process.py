"""The mail server of this machine as a local process."""

import signal
import sys
from pathlib import Path

from ops import ports
from ops.local import Launch, LocalProcess
from ops.mail.box import MailBox

FIRST_PORT = 8025


class LocalMail(LocalProcess):
    """Below `home`; the address is host:port. It keeps what it had when it starts again."""

    name = "mail"
    patience = 60
    end_signal = signal.SIGTERM

    def __init__(self, home: Path, first_port: int | None = None, bound: bool = False) -> None:
        super().__init__(home, first_port, bound)
        self.box = MailBox(home / "box")

    @property
    def address(self) -> str:
        return f"{ports.LOOPBACK}:{self.port}"

    def launch(self, port: int) -> Launch:
        return Launch([sys.executable, "-m", "ops.mail.server", str(port), str(self.box.folder)])

    def is_ready(self) -> bool:
        return ports.answers(self.port)
