"""What the mail server of this machine has kept: read as mails, newest first."""

import email
import email.policy
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from functools import cached_property
from pathlib import Path

from ops.failures import OpsError


@dataclass(frozen=True)
class KeptMail:
    """`id`: the name of its file; the instant of its arrival comes first in it."""

    file: Path

    @property
    def id(self) -> str:
        return self.file.name

    @cached_property
    def message(self) -> EmailMessage:
        read = email.message_from_bytes(self.file.read_bytes(), policy=email.policy.default)
        assert isinstance(read, EmailMessage)  # noqa: S101 - for the type checker: the policy says so
        return read

    def part(self, kind: str) -> str:
        """Of text/<kind>: plain or html."""
        found = self.message.get_body((kind,))
        return str(found.get_content()).replace("\r\n", "\n") if found else ""

    def header(self, name: str) -> str:
        return str(self.message[name] or "")


class MailBox:
    """A Maildir; any mail program can open it too."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def mails(self, to: str = "") -> Iterator[KeptMail]:
        """Those whose recipient contains `to`; newest first."""
        for file in sorted(self.folder.glob("*/*.prm"), reverse=True):
            mail = KeptMail(file)
            if file.parent.name != "tmp" and to.casefold() in mail.header("To").casefold():
                yield mail

    def count(self) -> int:
        return sum(1 for _ in self.folder.glob("new/*.prm"))

    def mail(self, id: str) -> KeptMail:
        """Raises OpsError."""
        for mail in self.mails():
            if mail.id == id:
                return mail
        raise OpsError(f"There is no mail {id}: `prm mail list` shows what came.")
