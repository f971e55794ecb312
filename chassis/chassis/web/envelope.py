"""Around every request: its correlation id, the limit of its body, and an answer to any fault."""

import asyncio
import logging
import re
import time
from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import uuid4

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis.telemetry.metrics import Metrics
from chassis.telemetry.sight import Sight
from chassis.telemetry.tracing import Span
from chassis.web import problems
from chassis.web.crowd import Place
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


class Answer(NamedTuple):
    """`route`: the path's template; `problem`: its type, if it is one."""

    method: str
    route: str
    status: int
    problem: str


class Envelope:
    """Plain ASGI: a middleware with a request object of its own costs more than the routes."""

    def __init__(self, app: ASGIApp, sight: Sight) -> None:
        self.app, self.sight = app, sight

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        correlation.set(own_id(headers).decode())
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
        place: Place | None = scope.get("place")

        async def sending(message: Message) -> None:
            nonlocal has_started
            if message["type"] == "http.response.start":
                has_started = True
                if place:  # what follows may be a stream, for a quarter of an hour
                    place.leave()
                message["headers"] = [*message.get("headers", ()), (b"prm-correlation-id", own)]
                asked = method_of(scope), route_of(scope)
                answer = Answer(*asked, message["status"], refused.get())
                count(self.sight.metrics, answer, time.perf_counter() - began_at)
                self._tell(answer, span)
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
        finally:
            if place:  # who was cancelled has begun no answer
                place.leave()

    def _tell(self, answer: Answer, span: Span) -> None:
        """Of those refused a line is written."""
        if self.sight.tracer.is_recording:
            span.tell(f"{answer.method} {answer.route}", about(answer))
        if answer.problem:
            level = logging.WARNING if answer.status >= OUR_FAULT else logging.INFO
            log.log(level, "%s %s: %s %s", *answer, extra={"kind": answer.problem})


def count(metrics: Metrics, answer: Answer, seconds: float) -> None:
    metrics.request(answer.method, answer.route, str(answer.status)).inc()
    metrics.request_seconds(answer.method, answer.route).observe(seconds)
    if answer.problem:
        metrics.refusal(answer.problem).inc()


def about(answer: Answer) -> dict[str, str | int]:
    """For its span."""
    return {
        "http.request.method": answer.method,
        "http.route": answer.route,
        "http.response.status_code": answer.status,
        "correlation_id": correlation.get(),
        "problem": answer.problem,
    }


def own_id(headers: Mapping[bytes, bytes]) -> bytes:
    """A request's correlation id: the caller's, if that is one."""
    given = headers.get(b"prm-correlation-id", b"").lower()
    return given if A_UUID.fullmatch(given) else str(uuid4()).encode()


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
