"""What time it is: the one port to the clock, real or, in demo and tests, a story's."""

from datetime import UTC, datetime, timedelta
from typing import Protocol

from psycopg_pool import AsyncConnectionPool

from chassis.errors import Forbidden


class StoryClockRefused(Forbidden):
    """Time is set in demos and tests only: start the platform with PRM_STORY=1 for that."""


class Clock(Protocol):
    def now(self) -> datetime:
        """The instant, in UTC."""


class RealClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class StoryClock:
    """Ahead of the real one by what a row of the key database says: the same in all services.

    Any process sets it; the others re-read the row, at latest after a second.
    """

    def __init__(self, keys: AsyncConnectionPool) -> None:
        self._keys = keys
        self._ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    async def reread(self) -> None:
        """Raises psycopg's errors while the key database is away."""
        async with self._keys.connection() as connection:
            found = await connection.execute("SELECT ahead FROM story_clock")
            row = await found.fetchone()
        self._ahead = row[0] if row else timedelta()

    async def advance_to(self, at: datetime) -> None:
        """Sets it for all services; an instant that has passed changes nothing."""
        async with self._keys.connection() as connection:
            await connection.execute(
                "UPDATE story_clock SET ahead = greatest(ahead, %s)", (at - datetime.now(UTC),)
            )
        await self.reread()
