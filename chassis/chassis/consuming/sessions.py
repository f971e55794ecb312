"""The two connections of a committer: one for its transactions, one for notes that outlive them."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import LiteralString

import psycopg

from chassis.consuming.tracking import Place
from chassis.storage.postgres import connected
from chassis.storage.rounds import Connection

# Effects and tracked offsets are on the disk soon, together: what a crash of the server takes of
# them is delivered again. `append` waits for the disk, and takes along all that lies before it.
SOON = {"synchronous_commit": "off"}


class Sessions:
    """Connect when first needed, and anew when they were lost. All raise psycopg's errors."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: Connection | None = None
        self._notes: Connection | None = None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """The connection for one transaction, which whoever takes it commits."""
        if self._connection is None or self._connection.closed:
            self._connection = await connected(self._dsn, SOON, autocommit=False)
        connection = self._connection
        try:
            yield connection
        except BaseException:
            if not connection.closed:
                with suppress(psycopg.Error):
                    await connection.rollback()
            raise

    async def notes(self) -> Connection:
        """For notes that outlive the transaction; that of a crash of the server they need not."""
        if self._notes is None or self._notes.closed:
            self._notes = await connected(self._dsn, SOON)
        return self._notes

    async def note(self, statement: LiteralString, places: Iterable[Place]) -> None:
        notes = await self.notes()
        for place in places:
            notes.later(statement, place)
        await notes.round()

    async def close(self) -> None:
        for connection in (self._connection, self._notes):
            if connection is not None:
                with suppress(psycopg.Error):
                    await connection.close()
        self._connection = self._notes = None
