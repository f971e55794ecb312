"""The mail server: one connection that is used again, and what its answers mean for a mail."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from ssl import SSLCertVerificationError
from typing import Literal

from aiosmtplib import (
    SMTP,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
)
from aiosmtplib.errors import SMTPDataError

from chassis.delivery import TryLater
from notify_svc.outbound.messages import Mail

ANSWERS_WITHIN = 20.0  # seconds
IDLE_FOR = 30.0  # seconds: a server ends an idle connection sooner or later
CLOSING = 421  # "service not available, closing": nothing else is taken either
FOR_EVER = 500  # and above: a refusal that stays

Encryption = Literal["none", "starttls", "tls"]


@dataclass(eq=False)
class Refused(Exception):
    """This mail is refused for ever. `status`: the server's answer."""

    status: int


@dataclass(frozen=True)
class Server:
    """`name`: this host's own, as it greets the server. `ca_file`: of the authority (PEM) that
    vouches for the server; None: the machine's own.
    """

    host: str
    port: int
    encryption: Encryption
    name: str
    user: str | None = None
    password: str | None = None
    ca_file: Path | None = None


class MailServer:
    """Takes one mail after another. No server: every mail has to wait."""

    def __init__(self, server: Server | None, sender: str) -> None:
        self._server, self._sender = server, sender
        self._alone = asyncio.Lock()
        self._client: SMTP | None = None
        self._used_at = 0.0

    async def send(self, mail: Mail) -> None:
        """Returns once the server has taken it. Raises Refused or TryLater."""
        if self._server is None:
            raise TryLater("no mail server is named: set PRM_SMTP_HOST", concerns_all=True)
        async with self._alone:
            try:
                await self._send(self._server, mail)
            except BaseException as fault:
                if not isinstance(fault, SMTPResponseException | SMTPRecipientsRefused):
                    self.close()  # in the middle of a conversation: the next one begins anew
                if isinstance(fault, SMTPException | OSError | TimeoutError):
                    raise meaning(fault) from None  # its text may hold the address
                raise

    async def _send(self, server: Server, mail: Mail) -> None:
        client = await self._opened(server)
        options = ["SMTPUTF8"] if mail.is_international else []
        await client.sendmail(self._sender, [mail.recipient], mail.content, mail_options=options)
        self._used_at = asyncio.get_running_loop().time()

    def _is_open(self) -> bool:
        idle = asyncio.get_running_loop().time() - self._used_at
        return self._client is not None and self._client.is_connected and idle < IDLE_FOR

    async def _opened(self, server: Server) -> SMTP:
        if not self._is_open() or self._client is None:
            self.close()
            self._client = SMTP(
                hostname=server.host,
                port=server.port,
                local_hostname=server.name,
                use_tls=server.encryption == "tls",
                start_tls=server.encryption == "starttls",
                username=server.user,
                password=server.password,
                cert_bundle=str(server.ca_file) if server.ca_file else None,
                timeout=ANSWERS_WITHIN,
            )
            await self._client.connect()
        return self._client

    def close(self) -> None:
        """The next mail opens a connection anew."""
        if self._client is not None:
            self._client.close()
        self._client = None


def meaning(fault: BaseException) -> Exception:
    """Of what went wrong: is it this mail, and for ever, or the server, which others see too?"""
    if isinstance(fault, SMTPRecipientsRefused):
        fault = fault.recipients[0]
        return answered(fault.code, concerns_all=False)
    if isinstance(cause := fault.__cause__ or fault, SSLCertVerificationError):
        what = f"the mail server's certificate: {cause.verify_message}"
        return TryLater(what, concerns_all=True)
    if isinstance(fault, SMTPSenderRefused) or not isinstance(fault, SMTPResponseException):
        if isinstance(fault, SMTPNotSupported):
            return Refused(553)  # of an international address: mailbox name not allowed
        code = f" {fault.code}" if isinstance(fault, SMTPResponseException) else ""
        return TryLater(f"the mail server: {type(fault).__name__}{code}", concerns_all=True)
    return answered(fault.code, concerns_all=not isinstance(fault, SMTPDataError))


def answered(code: int, *, concerns_all: bool) -> Exception:
    if code >= FOR_EVER and not concerns_all:
        return Refused(code)
    concerns_all = concerns_all or code == CLOSING
    return TryLater(f"the mail server answered {code}", concerns_all=concerns_all)
