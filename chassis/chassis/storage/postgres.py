"""Connections to the service's own database: their settings, and reading through a pool of them."""

from collections.abc import Mapping
from typing import Any, LiteralString

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import RowFactory, dict_row, tuple_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from chassis.errors import Unavailable
from chassis.sql import Statement, V
from chassis.storage.rounds import Connection

CONNECT_WITHIN = 3  # seconds
# A pool's pauses between attempts double. Given up sooner, it tries again with the next request,
# and not half a minute after the database is back.
RECONNECT_FOR = 2.0

# A session that appends and then freezes, or is cut off, must not keep the append lock.
GUARDS = {
    "idle_in_transaction_session_timeout": "2s",
    "lock_timeout": "5s",
    "tcp_user_timeout": "5s",
}
NONE: Mapping[str, str] = {}
# Planned once, and for the indexes: planning takes longer than what is planned, and a plan that was
# made while a table was small would read all of it, or all of one of its indexes for a join.
PLANNED_ONCE = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}


class StoreUnavailable(Unavailable):
    """The service's database does not answer: ask again, with the same Idempotency-Key."""


def guarded(dsn: str, settings: Mapping[str, str] = NONE) -> str:
    """The DSN with the settings of every session that may append, and with these."""
    options = [str(conninfo_to_dict(dsn).get("options", ""))]
    options += [f"-c {name}={value}" for name, value in {**GUARDS, **settings}.items()]
    return make_conninfo(
        dsn,
        options=" ".join(options).strip(),
        connect_timeout=CONNECT_WITHIN,
        tcp_user_timeout=5000,
    )


async def connected(
    dsn: str, settings: Mapping[str, str] = NONE, *, autocommit: bool = True
) -> Connection:
    """One guarded connection. Raises psycopg.OperationalError."""
    return await Connection.connect(guarded(dsn, settings), autocommit=autocommit)


class PooledReads:
    """Reads outside of any transaction. A database that does not answer is StoreUnavailable.

    A statement may run twice when the database goes away meanwhile: one that writes what is
    neither fact nor read model, such as a credential, takes care of that itself.
    """

    def __init__(self, dsn: str, connections: int = 8) -> None:
        self.pool = AsyncConnectionPool[AsyncConnection[Any]](
            guarded(dsn),
            kwargs={"autocommit": True},
            min_size=1,
            max_size=connections,
            timeout=CONNECT_WITHIN,
            reconnect_timeout=RECONNECT_FOR,
            open=False,
        )

    async def open(self) -> None:
        """Returns at once: a service starts without its database."""
        await self.pool.open()

    async def close(self) -> None:
        await self.pool.close()

    async def fetch(self, query: LiteralString, values: Any) -> list[tuple[Any, ...]]:
        return await self._fetch(query, values, tuple_row)

    async def dicts(self, query: LiteralString, values: Any) -> list[dict[str, Any]]:
        return await self._fetch(query, values, dict_row)

    async def rows(self, view: type[V], query: Statement) -> list[V]:
        return [view.model_validate(row) for row in await self.dicts(query.sql, query.values)]

    async def _fetch(self, query: LiteralString, values: Any, row: RowFactory[Any]) -> list[Any]:
        try:
            try:
                return await self._once(query, values, row)
            except PoolTimeout:
                raise
            except psycopg.OperationalError:  # a server that was away leaves dead connections
                await self.pool.check()
                return await self._once(query, values, row)
        except psycopg.OperationalError as lost:
            raise StoreUnavailable from lost

    async def _once(self, query: LiteralString, values: Any, row: RowFactory[Any]) -> list[Any]:
        async with self.pool.connection() as connection:
            cursor = connection.cursor(row_factory=row)
            found = await cursor.execute(query, values, prepare=True, binary=True)
            return await found.fetchall()
