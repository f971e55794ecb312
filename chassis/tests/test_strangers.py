"""Others write where they should not: readers go on, and so does who owns the topic."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from aiokafka import AIOKafkaProducer

from chassis.consuming.records import STORED, StoredRow
from chassis.storage.event_store import PostgresEventStore

from .reactions import (
    Ordered,
    Sample,
    Setup,
    Stranger,
    Tallied,
    journal_of,
    notes_of,
    running,
    tallied,
    until,
)


async def transact(setup: Setup, topic: str, partition: int, *, commits: bool) -> None:
    """A record within a transaction: its end takes an offset under which nothing is ever read."""
    producer = AIOKafkaProducer(bootstrap_servers=setup.bootstrap, transactional_id=str(uuid4()))
    await producer.start()
    await producer.begin_transaction()
    await producer.send_and_wait(topic, b"noise", partition=partition)
    await (producer.commit_transaction() if commits else producer.abort_transaction())
    await producer.stop()


async def test_offsets_that_a_transaction_takes_hold_nothing_up(
    setup: Setup, orders: Stranger
) -> None:
    topic, order = Sample(setup.run).orders.name, uuid4()

    async def is_taken() -> bool:
        return bool((await worker.state()).lag == 0)

    async with running(setup.worker()) as worker:
        await orders.say(order, Ordered(note="1"))
        for partition in (0, 1):  # one of them holds the order
            await transact(setup, topic, partition, commits=partition == 0)
        await orders.say(order, Ordered(note="2"))
        await until(lambda: notes_of(setup.dsn, order) == ["1", "2"])
        await transact(setup, topic, 0, commits=True)  # nothing comes behind it
        await until(is_taken)
        assert not (await worker.state()).reasons

    assert journal_of(setup.dsn, order) == ["1", "2"]


async def published(setup: Setup, events: PostgresEventStore, count: int) -> None:
    """So many facts are on the topic, each of an aggregate of its own."""
    await tallied(events, count, [uuid4() for _ in range(count)])
    async with running(setup.relay()) as relay:
        await until(lambda: relay.published == relay.head >= count)


async def is_blocked(setup: Setup) -> bool:
    """What a relay says that starts now."""
    async with running(setup.relay()) as relay:
        await until(lambda: relay.blocked or relay.is_leader)
        return bool(relay.blocked)


def forged(tallies: Stranger, position: int, **changed: Any) -> StoredRow:
    """The first fact of another aggregate, right down to its chain."""
    row = tallies.row(uuid4(), Tallied(order_id=uuid4(), note="forged"))
    return row._replace(position=position, **changed)


@pytest.fixture
async def tallies(setup: Setup) -> AsyncIterator[Stranger]:
    async with Stranger(setup.bootstrap, Sample(setup.run).tallies) as stranger:
        yield stranger


async def test_a_forged_record_at_the_end_of_a_partition_is_no_sign_of_a_store_set_back(
    setup: Setup, events: PostgresEventStore, tallies: Stranger
) -> None:
    await published(setup, events, 6)
    known = await events.reads.dicts("SELECT * FROM events WHERE position = 6", ())
    same = {name: known[0][name] for name in ("aggregate_id", "version")}
    for row in (
        forged(tallies, 3),  # a position of the store's own
        forged(tallies, 900),  # past a gap
        forged(tallies, 7, chain=b"\1" * 32),  # readers set it aside
        forged(tallies, 6, **same),  # another content of a fact
    ):
        await tallies.send(row)

    assert not await is_blocked(setup)


async def test_a_store_set_back_is_found_behind_what_strangers_wrote_and_a_relay_repeated(
    setup: Setup, events: PostgresEventStore, tallies: Stranger
) -> None:
    await published(setup, events, 30)
    await tallies.send(*(forged(tallies, 900 + number) for number in range(4)))
    rows = await events.reads.fetch(f"SELECT {STORED} FROM events ORDER BY position LIMIT 15", ())
    await tallies.send(*(StoredRow(*row) for row in rows))
    with psycopg.connect(setup.dsn) as owner:
        owner.execute("DELETE FROM events WHERE position > 15")
        owner.execute("UPDATE relay SET position = 15")

    assert await is_blocked(setup)


async def test_a_store_set_back_is_found_though_it_went_on(
    setup: Setup, events: PostgresEventStore
) -> None:
    await published(setup, events, 6)
    with psycopg.connect(setup.dsn) as owner:
        owner.execute("DELETE FROM events WHERE position > 3")
        owner.execute("UPDATE relay SET position = 3")
    await tallied(events, 9)

    assert await is_blocked(setup)
