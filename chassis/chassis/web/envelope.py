"""Around every request: its correlation id, the limit of its body, and an answer to any fault."""

import asyncio
import logging
import re
import time
from typing import Any
from uuid import uuid4

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis.telemetry.sight import Sight
from chassis.telemetry.tracing import Span
from chassis.web import problems
from chassis.web.problems import (
    LARGEST_BODY,
    BodyTooLarge,
    BodyTooSlow,
    InternalFault,
    answered,
    correlation,
    refused,
)

log = logging.getLogger(__name__)

OUR_FAULT = 500  # and above
METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
UNTRACED = frozenset({"/healthz", "/readyz", "/metrics"})  # asked again and again by machines
A_UUID = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Envelope:
    """Plain ASGI: a middleware with a request object of its own costs more than the routes."""

    def __init__(self, app: ASGIApp, sight: Sight) -> None:
        self.app, self.sight = app, sight

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(b"prm-correlation-id", b"").lower()
        own = given if A_UUID.fullmatch(given) else str(uuid4()).encode()
        correlation.set(own.decode())
        refused.set("")
        traceparent = headers.get(b"traceparent", b"").decode("latin-1")
        with self._begun(scope, traceparent) as span:
            await self._serve(scope, receive, send, span)

    def _begun(self, scope: Scope, traceparent: str) -> Span:
        if scope["path"] in UNTRACED:
            return Span(traceparent)
        return self.sight.tracer.begin(method_of(scope), traceparent, "server")

    async def _serve(self, scope: Scope, receive: Receive, send: Send, span: Span) -> None:
        own, began_at, has_started = correlation.get().encode(), time.perf_counter(), False

        async def sending(message: Message) -> None:
            nonlocal has_started
            if message["type"] == "http.response.start":
                has_started = True
                message["headers"] = [*message.get("headers", ()), (b"prm-correlation-id", own)]
                self._answers(scope, message["status"], time.perf_counter() - began_at, span)
            await send(message)

        if announced(scope) > LARGEST_BODY:
            await answered(BodyTooLarge(LARGEST_BODY))(scope, receive, sending)
            return
        try:
            await self.app(scope, limited(receive), sending)
        except Exception:
            log.exception("fault in %s %s", scope["method"], route_of(scope))
            if has_started:
                raise
            await answered(InternalFault())(scope, receive, sending)

    def _answers(self, scope: Scope, status: int, seconds: float, span: Span) -> None:
        """Each answer is counted; of those refused a line is written, too."""
        method, route, problem = method_of(scope), route_of(scope), refused.get()
        metrics = self.sight.metrics
        metrics.request(method, route, str(status)).inc()
        metrics.request_seconds(method, route).observe(seconds)
        if self.sight.tracer.is_recording:
            about = {"http.request.method": method, "http.route": route}
            about |= {"correlation_id": correlation.get(), "problem": problem}
            span.tell(f"{method} {route}", {**about, "http.response.status_code": status})
        if problem:
            metrics.refusals.labels(problem).inc()
            level = logging.WARNING if status >= OUR_FAULT else logging.INFO
            kind = {"kind": problem}
            log.log(level, "%s %s: %s %s", method, route, status, problem, extra=kind)


def announced(scope: Scope) -> int:
    """How long the body is, as its headers say; 0: they don't."""
    return int(dict(scope["headers"]).get(b"content-length", b"0"))


def method_of(scope: Scope) -> str:
    return scope["method"] if scope["method"] in METHODS else "other"


def limited(receive: Receive) -> Receive:
    """For bodies that do not tell their length beforehand, or do not come."""
    taken, is_whole = 0, False
    ends = asyncio.get_running_loop().time() + problems.BODY_WITHIN

    async def receiving() -> Message:
        nonlocal taken, is_whole
        if is_whole:  # what comes now is the client's leaving
            return await receive()
        try:
            async with asyncio.timeout_at(ends):
                message = await receive()
        except TimeoutError:
            raise HTTPException(BodyTooSlow.status) from None
        taken, is_whole = taken + len(message.get("body", b"")), not message.get("more_body")
        if taken > LARGEST_BODY:
            raise HTTPException(BodyTooLarge.status)
        return message

    return receiving


def route_of(scope: Scope) -> str:
    """The path's template: a path itself may hold what does not belong into a log."""
    route: Any = scope.get("route")
    return str(getattr(route, "path", "-"))
