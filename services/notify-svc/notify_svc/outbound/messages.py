"""An e-mail as the bytes that go out: the same ones each time, whatever strangers' words hold."""

import email.policy
from binascii import b2a_qp
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.errors import MessageError
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from functools import cached_property
from uuid import UUID

from notify_svc.outbound.words import Said, plain

LONGEST_NAME = 42  # bytes: what goes into one encoded word; a reader may put spaces between two
POLICY = email.policy.SMTP


class BadAddress(ValueError):
    """No mail server would take it."""


@dataclass(frozen=True)
class Sender:
    """Who writes. `reply_to`: where answers go, if anywhere; `preferences_url`: the page on which
    people choose what they are mailed, if there is one; `unsubscribe_url`: what takes the links of
    partner-svc, if people can reach it.
    """

    address: Address
    reply_to: str | None = None
    preferences_url: str | None = None
    unsubscribe_url: str | None = None
    language: str = "en"

    @cached_property
    def lines(self) -> str:
        """The header's lines that are the same in all mails."""
        lines = [header_line("From", self.address)]
        if self.reply_to:
            lines.append(header_line("Reply-To", self.reply_to))
        return "\r\n".join(lines)

    def message_id(self, notification_id: UUID) -> str:
        """The same for every repeat, so that mail systems recognise one."""
        return f"<{notification_id}@{self.address.domain}>"


@dataclass(frozen=True)
class Mail:
    """`is_international`: its address is not ASCII, and takes SMTPUTF8."""

    recipient: str
    content: bytes

    @property
    def is_international(self) -> bool:
        return not self.recipient.isascii()


def address_of(name: str, text: str) -> Address:
    """Raises BadAddress."""
    local, _, domain = plain(text).rpartition("@")
    try:
        found = Address(shown(name), local, domain.encode("idna").decode())
    except (MessageError, ValueError, IndexError):
        raise BadAddress from None
    if not (local and domain) or " " in found.addr_spec:
        raise BadAddress
    return found


def shown(name: str) -> str:
    """As much of a person's name as stands beside an address."""
    return unencoded(plain(name)).encode()[:LONGEST_NAME].decode(errors="ignore").strip()


def unencoded(text: str) -> str:
    """Nothing in it is taken for an encoded word, which a reader would decode."""
    return text.replace("=?", "= ?")


def mail_of(
    said: Said,
    sender: Sender,
    to: Address,
    id: UUID,
    written_at: datetime,
    *,
    ways_out: Mapping[str, str],
) -> Mail:
    """Of the notification with this id. `ways_out`: headers that say how to get no more of it."""
    lines = [
        subject_line(said.subject),
        sender.lines,
        header_line("To", to),
        f"Date: {format_datetime(written_at)}",
        f"Message-ID: {sender.message_id(id)}",
        "Auto-Submitted: auto-generated",
    ]
    # As they are: the library takes a long address for words, and encodes it.
    lines += [f"{name}: {value}" for name, value in ways_out.items()]
    boundary = f"=_{id.hex}"  # never a random one: a repeat is the same to the byte
    lines += [
        f"Content-Language: {said.language}",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/alternative; boundary="{boundary}"',
        "",
        *part_lines(boundary, "plain", said.text),
        *part_lines(boundary, "html", said.html),
        f"--{boundary}--",
        "",
    ]
    return Mail(to.addr_spec, "\r\n".join(lines).encode())


def ways_out(preferences_url: str | None, unsubscribe_url: str | None) -> dict[str, str]:
    """One click where that can be offered (RFC 8058), else the page to choose on (RFC 2369)."""
    if unsubscribe_url:
        one_click = {"List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
        return {"List-Unsubscribe": f"<{unsubscribe_url}>"} | one_click
    return {"List-Unsubscribe": f"<{preferences_url}>"} if preferences_url else {}


def part_lines(boundary: str, subtype: str, text: str) -> list[str]:
    """Quoted-printable, and so ASCII in short lines whatever the text holds."""
    content = "\r\n".join([*text.splitlines(), ""]).encode()
    return [
        f"--{boundary}",
        f'Content-Type: text/{subtype}; charset="utf-8"',
        "Content-Transfer-Encoding: quoted-printable",
        "",
        b2a_qp(content).decode(),
    ]


def header_line(name: str, value: object) -> str:
    """Encoded and folded, as values of strangers need it; without the last line's end."""
    message = EmailMessage(POLICY)
    message[name] = value
    return message.as_string().removesuffix("\r\n\r\n")


def subject_line(subject: str) -> str:
    """Folded by the older half of the standard library: the newer one loses spaces at the folds."""
    text = unencoded(subject)
    charset = None if text.isascii() else "utf-8"
    value = Header(text, charset, header_name="Subject").encode(linesep="\r\n")
    return f"Subject: {value}"
