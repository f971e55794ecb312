"""A read model filled anew beside the one in use, compared with it, and put in its place.

Nothing of a service reacts to it: no policy runs, no fact is recorded, nobody is told anything.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, LiteralString, Protocol, TypeVar

import psycopg
from aiokafka.errors import KafkaError
from psycopg import Connection, sql

from chassis.consuming.subscribers import Reactions
from chassis.delivery import KeptWithAppend
from chassis.rebuilding.log import FromLog
from chassis.rebuilding.shadow import Compared, Shadow
from chassis.rebuilding.source import RebuildRefused, Source
from chassis.rebuilding.topics import FromTopics

NEAR = 500  # facts that are left when the live delivery is made to wait for them
TOLD_EVERY = 2.0  # seconds
LOCKED_WITHIN = "300ms"
TRIES, PAUSE = 60, 0.5  # of a broker that does not answer, of tables that others hold; seconds
FREE_WITHIN = "3s"  # after its process was killed, a session ends by itself

T = TypeVar("T")
Tell = Callable[[str], None]
PASSING = (
    *(KafkaError, OSError, TimeoutError),
    *(psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected),
)

ALONE: LiteralString = "SELECT pg_advisory_lock(hashtext('rebuild'), hashtext(%s))"
WITHOUT_STATISTICS: LiteralString = """
SELECT relname FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relname = ANY (%s) AND reltuples < 0"""
LISTED: LiteralString = """
SELECT sum(reltuples)::bigint, sum(pg_total_relation_size(oid))::bigint,
    max(obj_description(oid, 'pg_class'))
FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname = ANY (%s)"""


class ReadModels(Reactions, Protocol):
    """What a rebuild knows of a service; `chassis.running.service.Service` is one."""

    @property
    def kept_with_append(self) -> tuple[KeptWithAppend, ...]: ...


class NoSuchReadModel(RebuildRefused):
    """The service keeps no read model of this name; it keeps those that are listed."""


class RebuildRunning(RebuildRefused):
    """The read model is being rebuilt or verified: wait for that to end, or end it."""


class Differs(RebuildRefused):
    """The rebuilt read model differs from the one in use, which stays."""

    def __init__(self, verdict: "Verdict") -> None:
        super().__init__("\n".join(verdict.lines()))
        self.verdict = verdict


class NeverFree(RebuildRefused):
    """Somebody held on to the tables, or the broker did not answer, at each try to swap them: the
    old ones stay.
    """


@dataclass(frozen=True)
class Verdict:
    """A read model against the fold of its log. `tracking`: what was tracked otherwise."""

    read_model: str
    facts: int
    tables: tuple[Compared, ...]
    tracking: tuple[str, ...]

    @property
    def is_equal(self) -> bool:
        return not self.tracking and all(table.is_equal for table in self.tables)

    def lines(self) -> Iterator[str]:
        for table in self.tables:
            yield from table.lines()
        yield from self.tracking


@dataclass(frozen=True)
class Listed:
    """`rows`: as of the last statistics, which are made if there are none; `fed_by`: topics, or the
    append; `rebuilt`: what the last rebuild left to say, if there was one.
    """

    name: str
    fed_by: str
    rows: int
    bytes: int
    rebuilt: str | None


def listed(service: ReadModels, dsn: str) -> list[Listed]:
    """Every read model of the service. `dsn`: of the database's owner."""
    fed = {kept.name: (kept.tables, "the append") for kept in service.kept_with_append}
    for each in service.projections:
        _, topics = fed.get(each.name, ((), ""))
        fed[each.name] = (each.name,), f"{topics} {each.topic.name}".strip()
    with psycopg.connect(dsn) as connection:
        every = [table for tables, _ in fed.values() for table in tables]
        for (table,) in connection.execute(WITHOUT_STATISTICS, (every,)).fetchall():
            connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(table)))
        return [
            Listed(name, by, *connection.execute(LISTED, (list(tables),)).fetchall()[0])
            for name, (tables, by) in sorted(fed.items())
        ]


async def rebuild(
    service: ReadModels,
    name: str,
    *,
    dsn: str,
    bootstrap: str,
    accepts_differences: bool = False,
    tell: Tell = lambda _: None,
) -> Verdict:
    """Answers once the new tables are in place. `dsn`: of the database's owner.

    Raises RebuildRefused, of which Differs has what differs; HoleInTopic, psycopg's errors. The
    live ones are as they were then.
    """
    async with _beside(service, name, dsn, bootstrap, tell) as filling:
        await filling.catch_up()
        tell(f"{name}: indexes")
        filling.shadow.finish()
        verdict = await filling.compared()
        if not verdict.is_equal and not accepts_differences:
            raise Differs(verdict)
        await filling.swap(puts_right=bool(verdict.tracking))
        return verdict


async def verify(
    service: ReadModels, name: str, *, dsn: str, bootstrap: str, tell: Tell = lambda _: None
) -> Verdict:
    """The live tables against the fold of the log, at one moment. Raises as `rebuild` does."""
    async with _beside(service, name, dsn, bootstrap, tell) as filling:
        await filling.catch_up()
        return await filling.compared()


@asynccontextmanager
async def _beside(
    service: ReadModels, name: str, dsn: str, bootstrap: str, tell: Tell
) -> AsyncIterator["Filling"]:
    with psycopg.connect(dsn, autocommit=True, application_name=f"rebuild of {name}") as connection:
        source = _source(connection, service, name, bootstrap)
        _alone(connection, name)
        filling = Filling(connection, name, source, tell)
        filling.shadow.make()
        try:
            source.begin()
            yield filling
        finally:
            await source.close()
            if not connection.closed:
                filling.shadow.drop()


def _source(connection: Connection[Any], service: ReadModels, name: str, bootstrap: str) -> Source:
    for kept in service.kept_with_append:
        if kept.name == name:
            return FromLog(connection, kept)
    if not any(each.name == name for each in service.projections):
        known = {it.name for it in service.projections}
        known |= {kept.name for kept in service.kept_with_append}
        raise NoSuchReadModel(f"{name}; {service.name} keeps {', '.join(sorted(known))}")
    return FromTopics(connection, service, name, bootstrap)


def _alone(connection: Connection[Any], name: str) -> None:
    # A server at work sees by itself only so that the process that asked has died.
    connection.execute("SET client_connection_check_interval = '500ms'")
    connection.execute(f"SET lock_timeout = '{FREE_WITHIN}'")
    try:
        connection.execute(ALONE, (name,))
    except psycopg.errors.LockNotAvailable:
        raise RebuildRunning(name) from None
    connection.execute("SET lock_timeout = 0")
    connection.execute("SET synchronous_commit = off")  # what a crash takes is made again


class Filling:
    """Tables that are being filled beside those in use."""

    def __init__(self, connection: Connection[Any], name: str, source: Source, tell: Tell) -> None:
        self._connection, self._name, self._source, self._tell = connection, name, source, tell
        self.shadow = Shadow(connection, f"rebuild_{name}", source.tables)
        self._facts, self._held_at = 0, 0.0
        self._progress = Progress(name, 0, tell)

    async def catch_up(self) -> None:
        """Until little is left to where the live ones are."""

        async def pass_over() -> None:
            await self._source.look()
            while self._source.left > NEAR:
                self._progress = Progress(self._name, self._source.left, self._tell)
                await self._source.fold(self._taken)
                await self._source.look()

        await self._tried(pass_over)

    async def compared(self) -> Verdict:
        """At equal offsets: nobody waits, all is seen as it was at one moment."""

        async def compare() -> Verdict:
            self._connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            await self._source.look()
            await self._source.fold(self._taken)
            tables = tuple(self.shadow.compare())
            return Verdict(self._name, self._facts, tables, tuple(self._source.disagreements()))

        return await self._tried(lambda: self._as_one(compare))

    async def swap(self, *, puts_right: bool) -> None:
        """`puts_right`: what was tracked too."""

        async def put_in_place() -> None:
            self._connection.execute(f"SET LOCAL lock_timeout = '{LOCKED_WITHIN}'")
            self._connection.execute("SET LOCAL synchronous_commit = on")  # and all before it
            self._source.hold()
            self._held_at = time.monotonic()
            await self._source.fold(self._taken)
            if puts_right:
                self._source.put_right()
            at = self._connection.execute("SELECT now() AT TIME ZONE 'UTC'").fetchall()[0][0]
            self.shadow.put_in_place(f"rebuilt at {at:%Y-%m-%dT%H:%M:%SZ} from {self._facts} facts")

        async def swap() -> None:
            await self.catch_up()
            await self._as_one(put_in_place)

        await self._tried(swap)
        held = 1000 * (time.monotonic() - self._held_at)
        self._tell(f"{self._name}: in place; the live delivery waited for {held:.0f} ms")

    async def _tried(self, work: Callable[[], Awaitable[T]]) -> T:
        for _ in range(TRIES):
            try:
                return await work()
            except PASSING as passing:
                self._tell(f"{self._name}: tried again: {type(passing).__name__} {passing}")
            await asyncio.sleep(PAUSE)
        raise NeverFree(self._name)

    async def _as_one(self, work: Callable[[], Awaitable[T]]) -> T:
        """In one transaction, with which all is as before if it fails."""
        set_back, facts = self._source.mark(), self._facts
        try:
            with self._connection.transaction():
                return await work()
        except BaseException:
            set_back()
            self._facts = facts
            raise

    def _taken(self, facts: int) -> None:
        self._facts += facts
        self._progress.taken(facts)


class Progress:
    """Of one pass over `total` facts."""

    def __init__(self, name: str, total: int, tell: Tell) -> None:
        self._name, self._total, self._tell = name, total, tell
        self._done, self._began_at = 0, time.monotonic()
        self._told_at = self._began_at

    def taken(self, facts: int) -> None:
        self._done += facts
        now = time.monotonic()
        if now - self._told_at < TOLD_EVERY or self._done > self._total:
            return
        self._told_at, rate = now, self._done / (now - self._began_at)
        self._tell(
            f"{self._name}: {self._done:,} of {self._total:,} facts, {rate:,.0f}/s,"
            f" {(self._total - self._done) / rate:.0f} s left"
        )
