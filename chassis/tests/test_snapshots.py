"""Snapshots: taken beside the commands of long streams, trusted only while they fit the class."""

import asyncio
import logging
import time
from typing import Any
from uuid import UUID

import psycopg
import pytest

from chassis.context import Context
from chassis.storage.event_store import PostgresEventStore
from chassis.storage.snapshots import snapshot_of
from chassis.store import Saved, Store
from chassis.testing import a_command, event_store

from .counters import Counter, count

COUNTER = UUID(int=1)


async def count_many(store: Store, ctx: Context, times: int) -> Saved:
    counter = await store.load_or_new(Counter, COUNTER)
    for _ in range(times):
        counter.count()
    return await store.save(ctx, counter)


def snapshots(dsn: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as reader:
        return reader.execute("SELECT version, state FROM snapshots").fetchall()


async def snapshot_stored(dsn: str) -> tuple[Any, ...]:
    until = time.monotonic() + 10
    while not (found := snapshots(dsn)):
        assert time.monotonic() < until, "no snapshot was stored"
        await asyncio.sleep(0.01)
    return found[0]


async def a_long_stream(events: PostgresEventStore, dsn: str) -> None:
    """150 facts, and the snapshot that the next command's load took."""
    await events.execute(count_many, a_command(), 150)
    await events.execute(count, a_command(), COUNTER)
    await snapshot_stored(dsn)


async def test_a_stream_of_a_hundred_facts_gets_a_snapshot_when_it_is_loaded(
    fresh_database: str,
) -> None:
    async with event_store(fresh_database) as events:
        await events.execute(count_many, a_command(), 99)
        await events.execute(count, a_command(), COUNTER)
        before = snapshots(fresh_database)
        await events.execute(count, a_command(), COUNTER)
        version, _ = await snapshot_stored(fresh_database)

    assert (before, version) == ([], 100)


async def test_a_load_goes_on_from_the_snapshot(fresh_database: str) -> None:
    async with event_store(fresh_database) as events:
        await a_long_stream(events, fresh_database)
        with psycopg.connect(fresh_database) as owner:  # what is before it is not read again
            owner.execute("UPDATE events SET data = 'spoilt' WHERE version <= 150")

        saved = await events.execute(count, a_command(), COUNTER, 1, limit=152)

    assert saved.versions == ((COUNTER, 152),)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE snapshots SET state_version = 0, state = '{\"total\": 9000}'",
        "UPDATE snapshots SET kind = 'Other', state = '{\"total\": 9000}'",
        'UPDATE snapshots SET state = \'{"total": "of another shape"}\'',
    ],
)
async def test_a_snapshot_that_does_not_fit_is_dropped(fresh_database: str, change: str) -> None:
    async with event_store(fresh_database) as events:
        await a_long_stream(events, fresh_database)
        with psycopg.connect(fresh_database) as owner:
            owner.execute(change.encode())

        saved = await events.execute(count, a_command(), COUNTER, 1, limit=152)

    assert saved.versions == ((COUNTER, 152),)


def test_a_class_whose_annotations_do_not_tell_its_state_has_no_snapshot(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Forgetful(Counter):
        def __init__(self, id: UUID) -> None:
            super().__init__(id)
            self.hidden = 1

    with caplog.at_level(logging.WARNING):
        taken = snapshot_of(Forgetful(COUNTER))

    assert taken is None
    assert "no snapshot of Forgetful" in caplog.text
