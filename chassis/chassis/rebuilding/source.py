"""What a rebuild needs to know of how a read model is fed: from topics, or with the append."""

from collections.abc import Callable
from typing import Protocol

Taken = Callable[[int], None]


class RebuildRefused(RuntimeError):
    """Each kind says in its docstring why, and the way out. The live tables are as they were."""


class Source(Protocol):
    """Fills the tables beside as far as the live ones are, and no further."""

    tables: tuple[str, ...]

    def begin(self) -> None:
        """The empty tables are there, and meant by their names alone."""

    @property
    def left(self) -> int:
        """Facts between where it is and where the live ones were at the last look."""

    async def look(self) -> None:
        """Where the live ones are; as of its snapshot, if a transaction is open."""

    def hold(self) -> None:
        """As `look`, and the live ones stay there until the transaction ends."""

    async def fold(self, taken: Taken) -> None:
        """Up to where the last look saw the live ones. `taken` is told numbers of facts."""

    def mark(self) -> Callable[[], None]:
        """What sets it back to where it is now, after a rollback."""

    def disagreements(self) -> list[str]:
        """How the log tells another story than what was tracked, at the last look."""

    def put_right(self) -> None:
        """What was tracked becomes what was taken here. While it holds the live ones."""

    async def close(self) -> None: ...
