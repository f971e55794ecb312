"""HTTP connections of uvicorn, but for two things: who finds no place is refused by the connection
itself, and an answer leaves in one piece.

Head and body are written one after the other, and each write is a system call that wakes the
client; the second one took a tenth of the CPU of a command, and a quarter of that of a refusal.
"""

import asyncio
from typing import Any, cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from chassis.web.admission import Admission, Refused
from chassis.web.health import Health

KEPT_FOR = 5  # seconds that a connection is kept without a request
# A second less, so that who goes by it lets go first: a request that meets the closing is lost.
KEEPS, CLOSES = (b"keep-alive", f"timeout={KEPT_FOR - 1}".encode()), (b"connection", b"close")


class Joined:
    """A transport that sends what is written in one turn of the event loop together."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._written: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._written:
            self._loop.call_soon(self._flush)
        self._written.append(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._written:
            written, self._written = self._written, []
            if not self._transport.is_closing():
                self._transport.write(b"".join(written))


class Connection(HttpToolsProtocol):
    def __init__(self, admission: Admission, health: Health, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._admission, self._health = admission, health

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        joined = Joined(transport, asyncio.get_running_loop())
        super().connection_made(cast(asyncio.Transport, joined))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """Once the head of a request is read, and those before it are answered."""
        if refused := self._admission.refused(cast(Scope, cycle.scope)):
            self._refuse(cycle, refused)
        else:
            super()._start_asgi_task(cycle, app)

    def _refuse(self, cycle: RequestResponseCycle, refused: Refused) -> None:
        # Who asked whether to send the body may send it now, or not: nobody knows what comes next.
        is_last = not cycle.keep_alive or cycle.waiting_for_100_continue
        told = [*cycle.default_headers, parting(is_last=is_last or self._health.is_draining)]
        lines = b"".join(b"%b: %b\r\n" % line for line in told)
        self.transport.write(STATUS_LINE[refused.status] + lines + refused.rest)
        cycle.response_complete = True  # what follows of it is dropped
        if told[-1] is CLOSES:
            self.transport.close()
        if self.pipeline:  # else one calls the other for each of those that wait
            self.loop.call_soon(self.on_response_complete)
        else:
            self.on_response_complete()


def parting(*, is_last: bool) -> tuple[bytes, bytes]:
    return CLOSES if is_last else KEEPS


class Farewell:
    """Tells clients how long they may keep their connection, or that this process goes."""

    def __init__(self, app: ASGIApp, health: Health) -> None:
        self._app, self._health = app, health

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def polite(message: Message) -> None:
            if message["type"] == "http.response.start":
                told = parting(is_last=self._health.is_draining)
                message["headers"] = [*message["headers"], told]
            await send(message)

        await self._app(scope, receive, polite)
