"""What the environment says to notify-svc: what it says to every service, and the mail server."""

from email.errors import MessageError
from email.headerregistry import Address
from email.utils import parseaddr
from ipaddress import ip_address
from pathlib import Path
from ssl import create_default_context
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator

import chassis.running.settings

Encryption = Literal["none", "starttls", "tls"]


class Settings(chassis.running.settings.Settings):
    """`smtp_host`: without one, e-mails wait until there is one, for three days at most.

    `smtp_tls`: none is for a server on this very machine. `smtp_ca_file`: of the authority (PEM)
    that vouches for it, where that is one's own. `smtp_sender`: "Name <address>".
    `mail_language`: for people in whose language there are no words. `preferences_url`: where
    people choose what they are mailed; e-mails then say so. `unsubscribe_url`: partner-svc's
    /v1/unsubscribe, as those who read e-mails reach it; e-mails then offer to be unsubscribed from.
    """

    smtp_host: str | None = None
    smtp_port: int = Field(default=587, ge=1, le=65_535)
    smtp_tls: Encryption = "starttls"
    smtp_ca_file: Path | None = None
    smtp_user: str | None = None
    smtp_password: SecretStr | None = None
    smtp_sender: str = "Partner Portal <partners@localhost.localdomain>"
    smtp_reply_to: str | None = None
    mail_language: str = "en"
    preferences_url: str | None = Field(default=None, pattern=r"^https?://[!-;=?-~]+$")
    unsubscribe_url: str | None = Field(default=None, pattern=r"^https?://[!-;=@-~]+$")

    @field_validator("smtp_tls")
    @classmethod
    def _protected(cls, encryption: Encryption, others: ValidationInfo) -> Encryption:
        host = others.data.get("smtp_host")
        if encryption == "none" and host and not is_loopback(host):
            raise ValueError("none is for a server on this machine only: starttls, or tls")
        return encryption

    @field_validator("unsubscribe_url")
    @classmethod
    def _encrypted(cls, url: str | None) -> str | None:
        parts = urlsplit(url or "")
        if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            raise ValueError("http is for this machine only: mail programs follow https alone")
        return url

    @field_validator("smtp_ca_file")
    @classmethod
    def _readable(cls, file: Path | None) -> Path | None:
        if file is not None:
            try:
                create_default_context(cafile=file)
            except OSError as unreadable:
                raise ValueError(f"it takes a file of PEM certificates: {unreadable}") from None
        return file

    @field_validator("smtp_sender", "smtp_reply_to")
    @classmethod
    def _addressed(cls, text: str | None) -> str | None:
        if text is not None:
            address_from(text)
        return text

    @property
    def sender(self) -> Address:
        return address_from(self.smtp_sender)


def address_from(text: str) -> Address:
    """Raises ValueError."""
    name, address = parseaddr(text)
    try:
        found = Address(name, addr_spec=address)
    except (MessageError, ValueError, IndexError):
        found = Address()
    is_whole = found.username and found.domain and found.addr_spec.isascii()
    if not is_whole or not text.isprintable():
        raise ValueError("it takes an address, or: Name <address>")
    return found


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
