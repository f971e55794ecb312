"""The promises of the delivery, on a real broker and a real database."""

import asyncio
from typing import Any
from uuid import uuid4

import psycopg

from chassis.testing import a_command, event_store

from .parked import parked, rows
from .reactions import (
    HOT,
    Ordered,
    Sample,
    Setup,
    Stranger,
    Tallied,
    Tally,
    journal_of,
    notes_of,
    running,
    until,
)


async def test_each_fact_reaches_policies_and_read_models_in_its_order(
    setup: Setup, orders: Stranger
) -> None:
    order = uuid4()
    await orders.say(order, *(Ordered(note=str(n)) for n in range(5)))

    async with running(setup.worker()):
        await until(lambda: len(notes_of(setup.dsn)) == 5)

    assert notes_of(setup.dsn, order) == journal_of(setup.dsn, order) == ["0", "1", "2", "3", "4"]


async def test_a_policy_keeps_the_correlation_and_names_its_cause(
    setup: Setup, orders: Stranger
) -> None:
    [said] = await orders.say(uuid4(), Ordered(note="x"))

    async with running(setup.worker()):
        await until(lambda: notes_of(setup.dsn))

    assert rows(setup.dsn, "SELECT correlation_id, causation_id FROM events") == [
        (said.correlation_id, said.event_id)
    ]


async def test_a_repeat_after_newer_facts_has_no_effect(setup: Setup, orders: Stranger) -> None:
    order = uuid4()
    said = await orders.say(order, Ordered(note="1"), Ordered(note="2"))
    await orders.send(*said)
    await orders.say(order, Ordered(note="3"))

    async with running(setup.worker()):
        await until(lambda: len(notes_of(setup.dsn)) == 3)

    assert notes_of(setup.dsn) == journal_of(setup.dsn) == ["1", "2", "3"]
    assert parked(setup.dsn) == []


async def test_offsets_that_faust_acknowledged_without_effect_are_read_again(
    setup: Setup, orders: Stranger
) -> None:
    order = uuid4()
    async with running(setup.worker()) as worker:
        await orders.say(order, Ordered(note="1"))
        await until(lambda: notes_of(setup.dsn) == ["1"])
        take = worker.committer.commit

        async def swallow(records: Any) -> None:
            """A Faust that loses what it was given."""

        planted = worker.committer
        planted.commit = swallow
    async with running(setup.worker()) as worker:
        worker.committer.commit = swallow
        await orders.say(order, Ordered(note="2"), Ordered(note="3"))
        await until(lambda: len(notes_of(setup.dsn)) == 3)
    assert take is not swallow
    assert notes_of(setup.dsn, order) == ["1", "2", "3"]


async def test_a_hot_aggregate_that_clashes_again_and_again_is_served(
    setup: Setup, orders: Stranger
) -> None:
    """Commands of the API keep moving the aggregate that every fact of the window touches."""

    async def tally_by_hand(store: Any, ctx: Any) -> Any:
        tally = await store.load_or_new(Tally, HOT)
        tally.tally(HOT, "by hand")
        return await store.save(ctx, tally)

    await orders.say(uuid4(), *(Ordered(note="hot") for _ in range(4)))
    is_over = asyncio.Event()

    async def hammer(events: Any) -> int:
        count = 0
        while not is_over.is_set():
            await events.execute(tally_by_hand, a_command())
            count += 1
        return count

    async with event_store(setup.dsn) as events:
        hammering = asyncio.create_task(hammer(events))
        async with running(setup.worker()):
            await until(lambda: notes_of(setup.dsn).count("hot") == 4)
        is_over.set()
        by_hand = await hammering

    assert notes_of(setup.dsn).count("by hand") == by_hand
    versions = rows(setup.dsn, "SELECT array_agg(version ORDER BY position) FROM events")[0][0]
    assert versions == list(range(1, by_hand + 5))


async def test_a_partition_made_anew_stops_with_a_reason_until_it_is_reset(
    setup: Setup, orders: Stranger
) -> None:
    async with running(setup.worker()) as worker:
        await orders.say(uuid4(), Ordered(note="1"))
        await until(lambda: notes_of(setup.dsn) == ["1"])
        with psycopg.connect(setup.dsn) as owner:
            owner.execute('UPDATE tracking SET "offset" = "offset" + 1000')

        async def reasons() -> Any:
            return [why for why in (await worker.state()).reasons if "prm lag reset" in why]

        await until(reasons)
        await worker.reset_tracking(Sample(setup.run).orders.name, None)
        await until(lambda: not worker.committer.stopped)
        await orders.say(uuid4(), Ordered(note="2"))
        await until(lambda: len(notes_of(setup.dsn)) == 2)

    assert notes_of(setup.dsn) == ["1", "2"]


async def test_tallies_are_facts_of_the_service(setup: Setup, orders: Stranger) -> None:
    await orders.say(uuid4(), Ordered(note="x"))

    async with running(setup.worker()):
        await until(lambda: notes_of(setup.dsn))

    assert rows(setup.dsn, "SELECT type FROM events") == [(Tallied.fact_type,)]
