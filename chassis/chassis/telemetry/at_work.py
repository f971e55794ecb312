"""What a process is at work on now, so that each line of its log can tell it."""

from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token

Told = Callable[[], Mapping[str, object]]


def _nothing() -> Mapping[str, object]:
    return {}


_told: ContextVar[Told] = ContextVar("told", default=_nothing)


class at_work_on:  # noqa: N801 - it is used as a function; a generator would cost twice as much
    """`told` is asked when a line is written, and names ids and places, never people."""

    __slots__ = ("_token", "_told")

    def __init__(self, told: Told) -> None:
        self._told = told
        self._token: Token[Told]

    def __enter__(self) -> None:
        outer, own = _told.get(), self._told
        self._token = _told.set(lambda: {**outer(), **own()})

    def __exit__(self, *_: object) -> None:
        _told.reset(self._token)


def told() -> Mapping[str, object]:
    return _told.get()()
