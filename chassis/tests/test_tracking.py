"""Offsets that lie apart: what Kafka was told, what each has taken, what a reset says."""

from uuid import UUID, uuid4

import psycopg
import pytest
from faust.transport.consumer import Consumer

from chassis.consuming.reading import Reader
from chassis.consuming.records import Record
from chassis.consuming.tracking import Place
from chassis.consuming.worker import Worker

from .reactions import (
    Ordered,
    Sample,
    Setup,
    Stranger,
    ended,
    journal_of,
    notes_of,
    running,
    settled,
    until,
)


async def taken(setup: Setup, orders: Stranger, *notes: str) -> UUID:
    """An order of these facts; a worker has taken them, and stopped."""
    order = uuid4()
    async with running(setup.worker()):
        await orders.say(order, *(Ordered(note=note) for note in notes))
        await until(lambda: set(notes) <= set(notes_of(setup.dsn)) & set(journal_of(setup.dsn)))
    return order


async def test_what_kafka_was_not_told_of_comes_again_without_effect(
    setup: Setup, orders: Stranger, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def untold(*_: object, **__: object) -> bool:
        return True

    with monkeypatch.context() as patched:
        patched.setattr(Consumer, "commit", untold)
        await taken(setup, orders, "1", "2")

    await taken(setup, orders, "3")

    assert notes_of(setup.dsn) == journal_of(setup.dsn) == ["1", "2", "3"]


async def beyond(setup: Setup, orders: Stranger, order: UUID) -> list[Record]:
    """One more fact of an order that has four: the fifth of its partition."""
    await orders.say(order, Ordered(note="5"))
    reader = Reader(setup.bootstrap)
    places = [Place(Sample(setup.run).orders.name, number) for number in (0, 1)]
    [place] = [place for place, (_, end) in (await reader.bounds(places)).items() if end]
    records, after = await reader.read(place, 4, 5, 10)
    await reader.close()
    assert after == 5
    return records


async def test_subscribers_that_lie_apart_behind_what_kafka_was_told_are_brought_together(
    setup: Setup, orders: Stranger
) -> None:
    """As after a backup that was taken while a new read model caught up."""
    order = await taken(setup, orders, "1", "2", "3", "4")
    records = await beyond(setup, orders, order)
    with psycopg.connect(setup.dsn) as owner:
        behind = 'UPDATE tracking SET "offset" = %s WHERE "offset" = 3 AND subscriber = %s'
        for last, subscriber in ((2, "journal"), (0, "policies")):
            owner.execute(behind, (last, subscriber))

    await settled(setup, records)

    assert notes_of(setup.dsn) == journal_of(setup.dsn) == ["1", "2", "3", "4", "5"]


async def test_a_partition_that_was_made_anew_stops_alone_also_where_it_is_read_again(
    setup: Setup, orders: Stranger
) -> None:
    order = await taken(setup, orders, "1", "2", "3", "4")
    records = await beyond(setup, orders, order)
    with psycopg.connect(setup.dsn) as owner:
        owner.execute("DELETE FROM sequences WHERE subscriber = 'policies'")  # other facts then
        owner.execute("UPDATE tracking SET \"offset\" = 1 WHERE subscriber = 'journal'")

    worker = await settled(setup, records)

    assert [place.topic for place in worker.committer.stopped] == [Sample(setup.run).orders.name]


async def test_a_reset_holds_in_a_service_that_commits_nothing_else(
    setup: Setup, orders: Stranger
) -> None:
    await taken(setup, orders, "1")
    quiet = Sample(setup.run)
    quiet.deadlines = ()
    worker = Worker(quiet, dsn=setup.dsn, bootstrap=setup.bootstrap, clock=setup.clock)

    await worker.reset_tracking(quiet.orders.name, None)
    await ended(worker)

    with psycopg.connect(setup.dsn) as owner:
        tracked = owner.execute("SELECT count(*) FROM tracking").fetchall()
    assert tracked == [(0,)]
