"""The same commands on the real event store and on the simulated one: equal answers and facts."""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, NamedTuple
from unittest.mock import patch
from uuid import UUID

import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import chassis.storage.window
from chassis.aggregates import Aggregate
from chassis.context import Context
from chassis.errors import Conflict, Refusal
from chassis.storage.event_store import PostgresEventStore
from chassis.storage.migrate import migrate
from chassis.store import Saved, Store
from chassis.testing import NOW, a_command
from prm_contracts.facts import Fact

from .database import Event
from .platform import SIGHT, Durable, Platform
from .ports import ports_of
from .scheduler import Calm, Process

SERVICE = "partner-svc"
FULL = 5


class Marked(Fact, type="prm.mark.Marked.v1"):
    by: int


class SlateFull(Conflict):
    """A slate takes five marks: take another one."""


class Slate(Aggregate[Marked]):
    marks: tuple[int, ...] = ()

    def mark(self, by: int) -> None:
        if len(self.marks) >= FULL:
            raise SlateFull
        if by:
            self.record(Marked(by=by))

    def apply(self, fact: Marked) -> None:
        self.marks = (*self.marks, fact.by)


async def mark(store: Store, ctx: Context, by: int, slate_ids: Sequence[UUID]) -> Saved:
    slates = [await store.load_or_new(Slate, slate_id) for slate_id in slate_ids]
    for slate in slates:
        slate.mark(by)
    return await store.save(ctx, *slates)


class Asked(NamedTuple):
    """A command: by which of two processes, under which id, with which body, on what."""

    writer: int
    key: UUID
    body: str
    by: int
    slates: list[UUID]


def an_id(number: int) -> UUID:
    return UUID(int=number)


ASKED = st.builds(
    Asked,
    st.integers(0, 1),
    st.integers(100, 104).map(an_id),
    st.sampled_from(["", "", "", "other"]),
    st.integers(0, 2),
    st.lists(st.integers(1, 3).map(an_id), min_size=1, max_size=3, unique=True),
)
ALL_ASKED = st.lists(ASKED, min_size=1, max_size=15)


async def told(stores: Sequence[PostgresEventStore], all_asked: Sequence[Asked]) -> Any:
    found: list[Any] = []
    for asked in all_asked:
        ctx = a_command(id=asked.key, request_hash=asked.body)
        ctx = Context(ctx.actor, NOW, ctx.command_id, an_id(1), request_hash=ctx.request_hash)
        try:
            saved = await stores[asked.writer].execute(mark, ctx, asked.by, asked.slates)
            found.append((saved, saved.types))
        except Refusal as refused:
            found.append((type(refused).__name__, ()))
    return found


def numbered() -> Callable[[Any], UUID]:
    numbers = itertools.count(1000)
    return lambda now: an_id(next(numbers))


def on_the_real_one(dsn: str, all_asked: Any) -> tuple[Any, list[tuple[Any, ...]]]:
    async def run() -> Any:
        stores = [PostgresEventStore(dsn, lambda: NOW, connections=1) for _ in range(2)]
        for store in stores:
            await store.open()
        found = await told(stores, all_asked)
        for store in stores:
            await store.close()
        return found

    with psycopg.connect(dsn) as owner:
        owner.execute("DELETE FROM events; DELETE FROM outcomes")
    with patch.object(chassis.storage.window, "new_event_id", numbered()):
        found = asyncio.run(run())
    with psycopg.connect(dsn) as owner:
        columns = ", ".join(Event._fields)
        rows = owner.execute(f"SELECT {columns} FROM events ORDER BY position").fetchall()
    return found, rows


def on_the_simulated_one(all_asked: Any) -> tuple[Any, list[tuple[Any, ...]]]:
    found: list[Any] = []
    durable = Durable.empty()
    platform = Platform(durable, Random(0), Calm(), lambda: False)
    process = Process("stores", may_die=False, is_alive=True)

    async def run() -> None:
        stores = [PostgresEventStore(SERVICE, lambda: NOW, sight=SIGHT) for _ in range(2)]
        found.append(await told(stores, all_asked))
        asyncio.get_running_loop().stop()

    async def begin() -> None:
        process.spawn(run())

    with ports_of(platform), patch.object(chassis.storage.window, "new_event_id", numbered()):
        platform.scheduler.run(begin())
        platform.scheduler.close()
    return found[0], [tuple(event) for event in durable.databases[SERVICE].events]


def test_real_and_simulated_store_answer_and_keep_the_same(fresh_database: str) -> None:
    migrate(fresh_database)

    @settings(max_examples=20, suppress_health_check=list(HealthCheck))
    @given(ALL_ASKED)
    def alike(all_asked: list[Asked]) -> None:
        assert on_the_real_one(fresh_database, all_asked) == on_the_simulated_one(all_asked)

    alike()
