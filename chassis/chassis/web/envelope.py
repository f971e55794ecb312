"""Around every request: its correlation id, the limit of its body, and an answer to any fault."""

import logging
import re
from typing import Any
from uuid import uuid4

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis.web.problems import LARGEST_BODY, BodyTooLarge, InternalFault, answered, correlation

log = logging.getLogger(__name__)

A_UUID = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Envelope:
    """Plain ASGI: a middleware with a request object of its own costs more than the routes."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(b"prm-correlation-id", b"").lower()
        own = given if A_UUID.fullmatch(given) else str(uuid4()).encode()
        correlation.set(own.decode())
        has_started = False

        async def sending(message: Message) -> None:
            nonlocal has_started
            if message["type"] == "http.response.start":
                has_started = True
                message["headers"] = [*message.get("headers", ()), (b"prm-correlation-id", own)]
            await send(message)

        if int(headers.get(b"content-length", b"0")) > LARGEST_BODY:
            await answered(BodyTooLarge(LARGEST_BODY))(scope, receive, sending)
            return
        try:
            await self.app(scope, limited(receive), sending)
        except Exception:
            log.exception("fault in %s %s", scope["method"], route_of(scope))
            if has_started:
                raise
            await answered(InternalFault())(scope, receive, sending)


def limited(receive: Receive) -> Receive:
    """For bodies that do not tell their length beforehand."""
    taken = 0

    async def receiving() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > LARGEST_BODY:
            raise HTTPException(BodyTooLarge.status)
        return message

    return receiving


def route_of(scope: Scope) -> str:
    """The path's template: a path itself may hold what does not belong into a log."""
    route: Any = scope.get("route")
    return str(getattr(route, "path", "-"))
