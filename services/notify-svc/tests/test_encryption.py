"""Mails go over TLS to a server that shows who it is, and wait while another answers for it."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from chassis.delivery import TryLater
from notify_svc.outbound.messages import Mail
from notify_svc.outbound.smtp import Encryption, MailServer, Server

from .certificates import Authority

HERE = "127.0.0.1"
MAIL = Mail("anna@alpha.example", b"Subject: Hello\r\n\r\nHello.\r\n")
ENCRYPTED = pytest.mark.parametrize("encryption", ["starttls", "tls"])


@dataclass
class Taken:
    """What a server was handed, each with whether the line was encrypted by then."""

    mails: list[tuple[bytes, bool]] = field(default_factory=list)

    async def handle_DATA(self, server: SMTP, _: Session, envelope: Envelope) -> str:  # noqa: N802 - the library's
        assert isinstance(envelope.content, bytes)
        assert server.transport
        is_encrypted = server.transport.get_extra_info("ssl_object") is not None
        self.mails.append((envelope.content, is_encrypted))
        return "250 taken"


@asynccontextmanager
async def a_server(
    encryption: Encryption, shown: ssl.SSLContext, taken: Taken
) -> AsyncIterator[int]:
    """Its port. It takes nothing over a line that is not encrypted."""

    def conversation() -> SMTP:
        if encryption == "tls":
            return SMTP(taken)
        return SMTP(taken, tls_context=shown, require_starttls=True)

    loop = asyncio.get_running_loop()
    implicit = shown if encryption == "tls" else None
    async with await loop.create_server(conversation, HERE, 0, ssl=implicit) as server:
        yield server.sockets[0].getsockname()[1]


async def sent(
    encryption: Encryption, shown: ssl.SSLContext, trusted: Path | None
) -> list[tuple[bytes, bool]]:
    taken = Taken()
    async with a_server(encryption, shown, taken) as port:
        server = Server(HERE, port, encryption, "meridian.example", ca_file=trusted)
        client = MailServer(server, "partners@meridian.example")
        try:
            await client.send(MAIL)
        finally:
            client.close()
    return taken.mails


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@ENCRYPTED
async def test_a_server_that_shows_who_it_is_gets_the_mail_encrypted(
    authority: Authority, encryption: Encryption
) -> None:
    mails = await sent(encryption, authority.server(HERE), authority.certificate)

    assert mails == [(MAIL.content, True)]


@ENCRYPTED
@pytest.mark.parametrize("name", ["127.0.0.2", "mail.meridian.example"])
async def test_under_a_certificate_of_another_name_the_mail_waits(
    authority: Authority, encryption: Encryption, name: str
) -> None:
    with pytest.raises(TryLater, match="certificate") as later:
        await sent(encryption, authority.server(name), authority.certificate)

    assert later.value.concerns_all
    assert "anna" not in later.value.reason


@ENCRYPTED
async def test_under_a_certificate_of_an_unknown_authority_the_mail_waits(
    authority: Authority, encryption: Encryption
) -> None:
    with pytest.raises(TryLater, match="certificate") as later:
        await sent(encryption, authority.server(HERE), None)

    assert later.value.concerns_all
