"""The service's own database, to read: view models, or ready JSON documents as they lie there."""

from typing import Any, LiteralString

from psycopg import Cursor
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.pq import Format
from psycopg.rows import RowFactory, RowMaker, tuple_row

from chassis.sql import Statement
from chassis.storage.postgres import PooledReads

PREFIX = 1  # a version byte stands before binary jsonb


class AsItLies(Loader):
    """JSON as the bytes that PostgreSQL wrote, not parsed: it is passed on as it is."""

    format = Format.BINARY

    def load(self, data: Buffer) -> bytes:
        return bytes(data[PREFIX:])


def as_it_lies(cursor: Cursor[Any]) -> RowMaker[tuple[Any, ...]]:
    return tuple_row(cursor)


class PooledDatabase(PooledReads):
    """Reads of questions, in a pool of their own: they never keep a command waiting."""

    async def documents(self, query: Statement) -> list[bytes]:
        """The first column of each row, a JSON value, as bytes."""
        return [row[0] for row in await self.unparsed(query)]

    async def unparsed(self, query: Statement) -> list[tuple[Any, ...]]:
        """Rows as they are, JSON columns as bytes."""
        return await self._fetch(query.sql, query.values, as_it_lies)

    async def run(self, statement: Statement) -> list[tuple[Any, ...]]:
        """Writes tables that hold neither facts nor read models, such as credentials.

        Answers what it RETURNs. It may run twice when the database goes away meanwhile.
        """
        return await self.fetch(statement.sql, statement.values)

    async def _once(self, query: LiteralString, values: Any, row: RowFactory[Any]) -> list[Any]:
        async with self.pool.connection() as connection:
            cursor = connection.cursor(row_factory=row)
            if row is as_it_lies:
                cursor.adapters.register_loader("jsonb", AsItLies)
            found = await cursor.execute(query, values, prepare=True, binary=True)
            return await found.fetchall()
