"""Takes mails over SMTP, keeps each as a file of a Maildir: `python -m ops.mail.server PORT DIR`.

Recipients below three names get what a test of the sender needs:
  anybody@refused.example  550, for ever
  anybody@busy.example     451 the first time, the mail is taken when it comes again
  anybody@slow.example     the mail is kept at once, and answered ten seconds later
"""

import asyncio
import itertools
import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from aiosmtpd.smtp import SMTP, Envelope, Session

from ops.ports import LOOPBACK

REFUSED, BUSY, SLOW = "refused.example", "busy.example", "slow.example"
SLOW_BY = 10.0  # seconds
LARGEST = 10 * 1024 * 1024  # bytes


class Keeper:
    """Writes each mail beside and renames it: a reader sees whole ones only."""

    def __init__(self, box: Path) -> None:
        self.box = box
        self._numbers = itertools.count()
        for folder in ("tmp", "new", "cur"):
            (box / folder).mkdir(parents=True, exist_ok=True)

    async def admit(
        self,
        _server: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        domain = address.rpartition("@")[2].casefold()
        if domain == REFUSED:
            return "550 5.1.1 nobody of that name"
        if domain == BUSY and self._is_first(address):
            return "451 4.3.2 busy, come again"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 taken"

    async def keep(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        name = f"{time.time_ns()}.{os.getpid()}_{next(self._numbers)}.prm"
        draft = self.box / "tmp" / name
        draft.write_bytes(envelope.original_content or b"")
        draft.rename(self.box / "new" / name)
        if any(address.casefold().endswith(f"@{SLOW}") for address in envelope.rcpt_tos):
            await asyncio.sleep(SLOW_BY)
        return f"250 2.0.0 kept as {name}"

    def _is_first(self, address: str) -> bool:
        """Remembered as a file: it outlives this server."""
        seen = self.box / "tmp" / f"busy.{address.casefold().encode().hex()[:200]}"
        if seen.exists():
            return False
        seen.touch()
        return True


async def serve(port: int, box: Path) -> None:
    """Until SIGTERM."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    keeper = Keeper(box)
    hooks = SimpleNamespace(handle_RCPT=keeper.admit, handle_DATA=keeper.keep)

    def conversation() -> SMTP:
        return SMTP(
            hooks,
            hostname="localhost",
            ident="prm",
            data_size_limit=LARGEST,
            enable_SMTPUTF8=True,
            loop=loop,
        )

    server = await loop.create_server(conversation, LOOPBACK, port)
    await ended.wait()
    server.close()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), Path(sys.argv[2])))
