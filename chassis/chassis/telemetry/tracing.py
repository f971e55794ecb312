"""Traces: the W3C trace context of what is under way goes on, whether or not it is recorded."""

import os
import re
from collections.abc import Mapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Literal, Self

TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

Kind = Literal["internal", "server", "producer", "consumer"]
About = Mapping[str, str | int]


class Span:
    """One thing under way, here one that nobody records: its trace goes on through it."""

    __slots__ = ("_token", "traceparent")

    def __init__(self, traceparent: str) -> None:
        self.traceparent = traceparent
        self._token: Token[Span | None]

    def __enter__(self) -> Self:
        self._token = _under_way.set(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _under_way.reset(self._token)

    def step(self, name: str, about: About) -> "Span":  # noqa: ARG002 - as those recorded
        """A part of it."""
        return NOTHING

    def tell(self, name: str, about: About) -> None:
        """What became known only now: its name, and more about it."""


class Nothing(Span):
    """A part of what is not recorded: it leaves all as it is."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


NOTHING = Nothing("")
_under_way: ContextVar[Span | None] = ContextVar("under_way", default=None)


def traceparent() -> str:
    """Of what is under way; empty: nothing is."""
    span = _under_way.get()
    return span.traceparent if span else ""


def trace_id() -> str:
    return traceparent()[3:35]


def is_sampled(traceparent: str) -> bool:
    """By the last of the flags at its end."""
    return TRACEPARENT.fullmatch(traceparent) is not None and int(traceparent[-2:], 16) % 2 == 1


def step(name: str, about: About | None = None) -> Span:
    """A part of what is under way, where that is recorded."""
    span = _under_way.get()
    return span.step(name, about or {}) if span else NOTHING


class Tracer:
    """Of a process that no collector is named for."""

    is_recording = False

    def begin(
        self,
        name: str,  # noqa: ARG002 - as one that records
        parent: str = "",
        kind: Kind = "internal",  # noqa: ARG002
        about: About | None = None,  # noqa: ARG002
    ) -> Span:
        """`parent`: the traceparent that came with it; without one a trace begins here."""
        return Span(parent if TRACEPARENT.fullmatch(parent) else _begun())

    def record(self, name: str, parent: str, began_at: int, about: About) -> None:
        """Something sent, that began at these nanoseconds since 1970 and has just ended."""

    def close(self) -> None:
        """What was recorded leaves, if the collector takes it soon."""


def _begun() -> str:
    ids = os.urandom(24).hex()
    return f"00-{ids[:32]}-{ids[32:]}-00"


def tracer(service: str, endpoint: str | None, ratio: float) -> Tracer:
    """`endpoint`: base address of a collector that takes OTLP over HTTP; `ratio`: the share of the
    traces begun here that is recorded. A trace that came from elsewhere goes on as it was.
    """
    if endpoint is None:
        return Tracer()
    from chassis.telemetry.exporting import Exporting  # noqa: PLC0415 - takes memory

    return Exporting(service, endpoint, ratio)
