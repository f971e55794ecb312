"""What a process is at work on now, so that each line of its log can tell it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

Told = Callable[[], Mapping[str, object]]


def _nothing() -> Mapping[str, object]:
    return {}


_told: ContextVar[Told] = ContextVar("told", default=_nothing)


@contextmanager
def at_work_on(told: Told) -> Iterator[None]:
    """`told` is asked when a line is written, and names ids and places, never people."""
    outer = _told.get()
    token = _told.set(lambda: {**outer(), **told()})
    try:
        yield
    finally:
        _told.reset(token)


def told() -> Mapping[str, object]:
    return _told.get()()
