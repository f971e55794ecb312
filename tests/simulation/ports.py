"""The ports of the chassis and what answers them in a run: here the real code ends."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Self, cast
from unittest.mock import patch

import psycopg

import chassis.consuming.reading
import chassis.consuming.sessions
import chassis.consuming.worker
import chassis.publishing.ends
import chassis.publishing.producing
import chassis.publishing.relay
import chassis.storage.lines
import chassis.storage.postgres
import chassis.storage.window
import chassis.storage.writer
from chassis.storage import new_facts
from chassis.storage.calls import Answered, Asked, Prepared

from . import (  # noqa: F401 - they answer the statements
    deadlines_model,
    deal_model,
    delivery_model,
    errands_model,
    notify_model,
    partner_model,
    store_model,
    territory_model,
)
from .broker import Admin, Consumer, Producer
from .connections import Connection, lost
from .platform import Platform
from .scheduler import Fate


@dataclass
class Server:
    """The database server of a run, as clients reach it."""

    platform: Platform

    def opened(self, dsn: str, *, autocommit: bool = True) -> Connection:
        platform = self.platform
        database = platform.durable.databases[dsn.removeprefix("dbname=").partition(" ")[0]]
        return Connection(platform.scheduler, database, autocommit=autocommit, log=platform.log)

    async def connected(
        self, dsn: str, settings: object = None, *, autocommit: bool = True
    ) -> Connection:
        if await self.platform.scheduler.point("connect to the database") is not Fate.PASS:
            raise lost()
        return self.opened(dsn, autocommit=autocommit)

    async def calls(self, dsn: str, statements: object, settings: object) -> "Calls":
        return Calls(await self.connected(dsn))

    async def line(self, dsn: str) -> "Line":
        return Line(await self.connected(dsn))


class Pool:
    """Every connection is a new one."""

    def __init__(self, server: Server, dsn: str) -> None:
        self._server, self._dsn = server, dsn

    async def close(self) -> None:
        """Nothing is kept open."""

    open = check = close

    def connection(self) -> Connection:
        return self._server.opened(self._dsn)


@dataclass
class Pools:
    """In the place of a generic class."""

    server: Server

    def __getitem__(self, _: Any) -> Self:
        return self

    def __call__(self, dsn: str, **_: Any) -> Pool:
        return Pool(self.server, dsn)


class Calls:
    """The writer's connection: calls are answered in the order asked."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._order = asyncio.Lock()

    def call(self, asked: Sequence[Asked], answered: Answered) -> None:
        _ = asyncio.get_running_loop().create_task(self._answer(asked, answered))

    async def _answer(self, asked: Sequence[Asked], answered: Answered) -> None:
        try:
            async with self._order:
                told = [self._connection.later(_query(it), values) for it, values in asked]
                await self._connection.round()
        except psycopg.Error as fault:
            answered(fault)
            return
        answered(tuple(_text(value) for row in told[-1].dicts()[:1] for value in row.values()))

    async def close(self) -> None:
        self._connection.lose()


def _query(statement: Prepared) -> str:
    """`append` in one form, whether libpq or psycopg sends it."""
    is_all = statement.sql == new_facts.NUMBERED_APPEND
    return new_facts.APPEND if is_all else statement.sql.decode()


def _text(value: Any) -> bytes | None:
    """As the server writes a number, an array of ids, or nothing."""
    if isinstance(value, list):
        return f"{{{','.join(map(str, value))}}}".encode()
    return None if value is None else str(value).encode()


class Line:
    """A connection of those who decide, to read."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def is_prompt(self, now: float) -> bool:
        return True

    async def ask(self, query: str, values: Any) -> tuple[list[str], list[tuple[Any, ...]]]:
        rows = cast(list[dict[str, Any]], await self._connection.run(query, values))
        return list(rows[0]) if rows else [], [tuple(row.values()) for row in rows]

    async def close(self) -> None:
        self._connection.lose()


@contextmanager
def ports_of(platform: Platform) -> Iterator[None]:
    """They are answered by this run."""
    scheduler, broker, server = platform.scheduler, platform.durable.broker, Server(platform)

    def producer(**_: Any) -> Producer:
        return Producer(scheduler, broker)

    def consumer(**_: Any) -> Consumer:
        return Consumer(scheduler, broker)

    def admin(**_: Any) -> Admin:
        return Admin(scheduler, broker)

    def connects(to: Any) -> Any:
        return SimpleNamespace(connect=to)

    consuming = SimpleNamespace(assigned=lambda member: set(member.at))
    with ExitStack() as replaced:
        for target, name, port in (
            (chassis.storage.postgres, "guarded", lambda dsn: dsn),
            (chassis.storage.postgres, "AsyncConnectionPool", Pools(server)),
            (chassis.consuming.sessions, "connected", server.connected),
            (chassis.storage.writer, "connected", server.connected),
            (chassis.storage.writer, "Calls", connects(server.calls)),
            (chassis.storage.lines, "Line", connects(server.line)),
            (chassis.publishing.relay, "Connection", connects(server.connected)),
            (chassis.publishing.producing, "AIOKafkaProducer", producer),
            (chassis.publishing.topics, "AIOKafkaAdminClient", admin),
            (chassis.publishing.ends, "AIOKafkaConsumer", consumer),
            (chassis.consuming.worker, "faust_app", consuming),
            (chassis.consuming.reading, "AIOKafkaConsumer", consumer),
            (chassis.storage.window, "new_event_id", platform.new_event_id),
            # How often somebody looks without being woken costs time, and shows nothing.
            (chassis.publishing.relay, "POLL", 0.5),
            (chassis.publishing.relay, "POLL_WOKEN", 0.5),
            (chassis.publishing.relay, "STANDBY_POLL", 2.0),
            (chassis.consuming.worker, "RETRY_EVERY", 1.0),
            (chassis.consuming.worker, "WATCH_EVERY", 5.0),
        ):
            replaced.enter_context(patch.object(target, name, port))
        yield
