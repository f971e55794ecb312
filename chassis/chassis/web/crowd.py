"""How many requests are worked on at once: of one process, and of one of its callers."""

from collections import Counter
from collections.abc import Hashable
from types import TracebackType

from chassis.errors import Refusal, TooMany, Unavailable

MOST = 256  # of one process: half a second of work for it
MOST_OF_ONE = 128  # so that nobody keeps all others out


class TooManyCommands(TooMany):
    """As many commands run as are taken at once: ask again later, with the same Idempotency-Key."""


class TooManyQuestions(Unavailable):
    """As many questions are being answered as are taken at once: ask again in a moment."""


class Crowd:
    """Who is refused here has cost next to nothing, and those who are inside go on.

    `refusal`: what is raised for who finds no place.
    """

    def __init__(
        self,
        most: int = MOST,
        most_of_one: int = MOST_OF_ONE,
        refusal: type[Refusal] = TooManyCommands,
    ) -> None:
        self.refusal, self._most, self._most_of_one = refusal, most, most_of_one
        self._inside: Counter[Hashable] = Counter()
        self._count = 0

    def place(self, caller: Hashable) -> "Place":
        """Taken until it is left, for `with` too. Raises the refusal."""
        if self._count >= self._most or self._inside[caller] >= self._most_of_one:
            raise self.refusal
        self._count += 1
        self._inside[caller] += 1
        return Place(self, caller)

    def leave(self, caller: Hashable) -> None:
        self._count -= 1
        self._inside[caller] -= 1
        if not self._inside[caller]:
            del self._inside[caller]


class Place:
    """Held while a request is worked on."""

    __slots__ = ("_caller", "_crowd")

    def __init__(self, crowd: Crowd, caller: Hashable) -> None:
        self._crowd: Crowd | None = crowd
        self._caller = caller

    def leave(self) -> None:
        """Again, too: it is left once."""
        if crowd := self._crowd:
            self._crowd = None
            crowd.leave(self._caller)

    def __enter__(self) -> None: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.leave()
