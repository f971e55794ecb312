"""What people ask: read behind row-level security, by a role that sees only what its asker may."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, LiteralString

import psycopg
from psycopg import AsyncConnection, AsyncCursor, Cursor
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.pq import Format
from psycopg.rows import RowFactory, RowMaker, tuple_row

from chassis.context import Actor
from chassis.sql import Statement
from chassis.storage.postgres import PooledReads, StoreUnavailable

PREFIX = 1  # a version byte stands before binary jsonb

# Until the end of the transaction: the next question of the connection begins as nobody's.
WHO: LiteralString = (
    "SELECT set_config('prm.asker_side', %s, true), set_config('prm.asker_tenant', %s, true),"
    " set_config('prm.asker_id', %s, true)"
)


class AsItLies(Loader):
    """JSON as the bytes that PostgreSQL wrote, not parsed: it is passed on as it is."""

    format = Format.BINARY

    def load(self, data: Buffer) -> bytes:
        return bytes(data[PREFIX:])


def as_it_lies(cursor: Cursor[Any]) -> RowMaker[tuple[Any, ...]]:
    return tuple_row(cursor)


def cursor_on(
    connection: AsyncConnection[Any], row: RowFactory[Any] = as_it_lies
) -> AsyncCursor[Any]:
    cursor = connection.cursor(row_factory=row)
    if row is as_it_lies:
        cursor.adapters.register_loader("jsonb", AsItLies)
    return cursor


def who(asker: Actor) -> tuple[str, str, str]:
    if asker.tenant_id is None:
        return "vendor", "", str(asker.id)
    return "partner", str(asker.tenant_id), str(asker.id)


class Questions(PooledReads):
    """`dsn`: of the service's reader, whom only policies of row-level security let see a row.

    A pool of its own: questions never keep a command waiting.
    """

    def of(self, asker: Actor) -> "Asked":
        return Asked(self, asker)

    @asynccontextmanager
    async def transaction(self, asker: Actor) -> AsyncIterator[AsyncConnection[Any]]:
        """Rolled back in the end: a question leaves nothing behind. Raises StoreUnavailable."""
        try:
            async with (
                self.pool.connection() as connection,
                connection.transaction(force_rollback=True),
            ):
                await connection.execute(WHO, who(asker))
                yield connection
        except psycopg.OperationalError as lost:
            raise StoreUnavailable from lost


class Asked(PooledReads):
    """The questions of one asker."""

    def __init__(self, questions: Questions, asker: Actor) -> None:
        self.pool = questions.pool  # not a pool of its own
        self._who = who(asker)

    async def unparsed(self, query: Statement) -> list[tuple[Any, ...]]:
        """Rows as they are, JSON columns as bytes."""
        return await self._fetch(query.sql, query.values, as_it_lies)

    async def _once(self, query: LiteralString, values: Any, row: RowFactory[Any]) -> list[Any]:
        async with self.pool.connection() as connection:
            cursor = cursor_on(connection, row)
            async with connection.pipeline():  # one round trip, and one transaction
                await connection.execute(WHO, self._who, prepare=True)
                await cursor.execute(query, values, prepare=True, binary=True)
                return await cursor.fetchall()
