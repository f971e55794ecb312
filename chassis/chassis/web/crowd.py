"""How many commands run at once: of one process, and of one of its callers."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from chassis.errors import TooMany

MOST = 256  # of one process: half a second of work for it
MOST_OF_ONE = 128  # so that nobody keeps all others out


class TooManyCommands(TooMany):
    """As many commands run as are taken at once: ask again later, with the same Idempotency-Key."""


class Crowd:
    """A command that is refused here has cost next to nothing, and those that run go on."""

    def __init__(self, most: int = MOST, most_of_one: int = MOST_OF_ONE) -> None:
        self._most, self._most_of_one = most, most_of_one
        self._running: Counter[UUID] = Counter()

    @contextmanager
    def place(self, caller: UUID) -> Iterator[None]:
        """Raises TooManyCommands."""
        if self._running.total() >= self._most or self._running[caller] >= self._most_of_one:
            raise TooManyCommands
        self._running[caller] += 1
        try:
            yield
        finally:
            self._running[caller] -= 1
            if not self._running[caller]:
                del self._running[caller]
