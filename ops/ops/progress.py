"""How far a long work is: a line that changes on a terminal, or now and then one in a log."""

import sys
import time
from typing import TextIO

EVERY = 0.2  # seconds, on a terminal
EVERY_IN_A_LOG = 10.0


class Progress:
    """Called with how many of how many; tells rate and time left. `end` closes its line."""

    def __init__(self, what: str, out: TextIO = sys.stderr) -> None:
        self._what, self._out = what, out
        self._is_terminal = out.isatty()
        self._begun = self._told = time.monotonic()
        self._first: int | None = None
        self._has_told = False

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        self._first = done if self._first is None else self._first
        if now - self._told < (EVERY if self._is_terminal else EVERY_IN_A_LOG):
            return
        self._told, self._has_told = now, True
        line = told(self._what, done, total, (done - self._first) / (now - self._begun))
        self._out.write(f"\r{line:<78}" if self._is_terminal else f"{line}\n")
        self._out.flush()

    def end(self) -> None:
        if self._has_told and self._is_terminal:
            self._out.write(f"\r{'':<78}\r")
            self._out.flush()


def told(what: str, done: int, total: int, rate: float) -> str:
    """E.g. `facts: 512,000 of 1,000,000 (51 %), 9,800 a second, 50 s left`."""
    share = f"{100 * done // total} %" if total else "-"
    left = f", {(total - done) / rate:.0f} s left" if rate > 0 and total >= done else ""
    return f"{what}: {done:,} of {total:,} ({share}), {rate:,.0f} a second{left}"
