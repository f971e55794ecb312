"""A fact that cannot be taken waits, and all of its aggregate behind it; the others go on."""

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaConsumer

from chassis.consuming.dead_letters import DeadLetters, LetterClosed, LetterNotFirst, LetterNotFound
from chassis.consuming.records import headers_of
from chassis.publishing.topics import dead_letters_of
from chassis.storage.postgres import PooledReads
from chassis.storage.wire import FIRST_CHAIN, chained, fact_digest
from prm_contracts.facts import Fact

from .parked import parked, rows
from .reactions import (
    FAILING,
    Ordered,
    Sample,
    Setup,
    Stranger,
    Tallied,
    journal_of,
    notes_of,
    running,
    until,
)


@pytest.fixture
async def letters(setup: Setup) -> Any:
    reads = PooledReads(setup.dsn)
    await reads.open()
    yield DeadLetters(reads)
    await reads.close()


async def test_an_exception_parks_its_aggregate_and_loses_nothing(
    setup: Setup, orders: Stranger
) -> None:
    bad, good = uuid4(), uuid4()
    FAILING.add("late")

    async with running(setup.worker()):
        await orders.say(bad, Ordered(note="a"), Ordered(note="late"), Ordered(note="b"))
        await orders.say(good, Ordered(note="other"))
        await until(lambda: notes_of(setup.dsn, good) and len(parked(setup.dsn)) == 2)
        before = notes_of(setup.dsn, bad)
        FAILING.clear()
        await until(lambda: len(notes_of(setup.dsn, bad)) == 3)

    assert before == ["a"]
    assert notes_of(setup.dsn, bad) == ["a", "late", "b"]
    assert journal_of(setup.dsn, bad) == ["a", "late", "b"]


async def test_a_read_model_that_fails_holds_up_neither_policies_nor_other_aggregates(
    setup: Setup, orders: Stranger
) -> None:
    bad, good = uuid4(), uuid4()

    async with running(setup.worker()):
        await orders.say(bad, Ordered(note="unwritable"))
        await orders.say(good, Ordered(note="fine"))
        await until(lambda: journal_of(setup.dsn, good) and notes_of(setup.dsn, bad))

    assert parked(setup.dsn)[0][0] == "journal"


async def test_after_its_last_retry_a_fact_is_dead_and_its_copy_on_the_topic(
    setup: Setup, orders: Stranger, letters: DeadLetters
) -> None:
    [said] = await orders.say(uuid4(), Ordered(note="never"))
    await orders.say(said.aggregate_id, Ordered(note="behind"))
    copies = AIOKafkaConsumer(
        dead_letters_of(Sample(setup.run).name),
        bootstrap_servers=setup.bootstrap,
        auto_offset_reset="earliest",
    )
    await copies.start()

    async with running(setup.worker()), running(setup.relay()):
        [letter] = await until(letters.list)
        copy = await asyncio.wait_for(copies.getone(), 20)
    await copies.stop()

    assert (letter.attempts, letter.reason) == (4, "ValueError: no tally for never")
    assert (copy.key, copy.value) == (str(said.aggregate_id).encode(), said.data)
    assert set(headers_of(said, Sample(setup.run).orders.owner)) < set(copy.headers)
    assert dict(copy.headers)["prm_reason"] == letter.reason.encode()
    assert notes_of(setup.dsn) == []


def tries_ended(setup: Setup) -> float | None:
    return setup.sight.metrics.registry.get_sample_value("prm_delivery_retries_total")


async def test_a_dead_fact_is_redriven_and_those_behind_it_follow(
    setup: Setup, orders: Stranger, letters: DeadLetters
) -> None:
    order = uuid4()
    FAILING.add("first")
    await orders.say(order, Ordered(note="first"), Ordered(note="second"))

    async with running(setup.worker()):
        [letter] = await until(letters.list)
        # It is noted as dead before the last try begins.
        await until(lambda: tries_ended(setup) == len(setup.retry_after))
        await until(lambda: len(parked(setup.dsn)) == 2)
        [behind] = await letters.list(None, after=letter.id)
        with pytest.raises(LetterNotFirst):
            await letters.redrive(behind.id)
        FAILING.clear()
        await letters.redrive(letter.id)
        await until(lambda: len(notes_of(setup.dsn)) == 2)

    assert notes_of(setup.dsn, order) == ["first", "second"]
    with pytest.raises(LetterClosed):
        await letters.discard(letter.id)


async def test_a_discarded_fact_has_no_effect_and_those_behind_it_follow(
    setup: Setup, orders: Stranger, letters: DeadLetters
) -> None:
    order = uuid4()
    await orders.say(order, Ordered(note="never"), Ordered(note="second"))

    async with running(setup.worker()):
        [letter] = await until(letters.list)
        await letters.discard(letter.id)
        await until(lambda: notes_of(setup.dsn))
        await orders.say(order, Ordered(note="third"))
        await until(lambda: len(notes_of(setup.dsn)) == 2)

    assert notes_of(setup.dsn, order) == ["second", "third"]
    with pytest.raises(LetterNotFound):
        await letters.show(4711)


async def test_what_no_service_wrote_is_dead_at_once_and_parks_nothing(
    setup: Setup, orders: Stranger, letters: DeadLetters
) -> None:
    order = uuid4()
    row = orders.row(order, Ordered(note="right"))
    right = headers_of(row, Sample(setup.run).orders.owner)
    key = str(order).encode()
    wrong = [header for header in right if header[0] != "ce_sequence"]

    async with running(setup.worker()):
        await orders.send_raw(None, row.data, right)
        await orders.send_raw(key, None, right)
        await orders.send_raw(b"another", row.data, right)
        await orders.send_raw(key, row.data, wrong)
        await orders.send_raw(key, row.data, [*wrong, ("ce_sequence", b"one")])
        await orders.send_raw(key, row.data, headers_of(row, "an-intruder"))
        elsewhere = rechained(row._replace(type=Tallied.fact_type))
        await orders.send_raw(key, row.data, headers_of(elsewhere, Sample(setup.run).orders.owner))
        await orders.send_raw(key, row.data, right)
        await until(lambda: notes_of(setup.dsn) == ["right"])

    assert [letter.kind for letter in await letters.list()] == ["untrustworthy"] * 7


async def test_facts_that_came_in_another_order_are_taken_in_theirs(
    setup: Setup, orders: Stranger
) -> None:
    order, other = uuid4(), uuid4()
    first, second, third = (orders.row(order, Ordered(note=note)) for note in "123")

    async with running(setup.worker()):
        await orders.send(second, third)
        await orders.say(other, Ordered(note="other"))
        await until(lambda: notes_of(setup.dsn) == ["other"])
        await orders.send(first, second)
        await until(lambda: notes_of(setup.dsn, order) == ["1", "2", "3"])
        await until(lambda: {state for *_, state in parked(setup.dsn)} == {"released"})

    assert journal_of(setup.dsn, order) == ["1", "2", "3"]


async def test_a_poisoned_fact_parks_while_others_go_on(setup: Setup, orders: Stranger) -> None:
    unknown, newer, torn, gap, forged, good = (uuid4() for _ in range(6))
    name = orders.row(unknown, Ordered())._replace(type="prm.order.OrderPainted.v1")
    version = orders.row(newer, Ordered())._replace(type="prm.order.Ordered.v2")
    await orders.send(rechained(name), rechained(version))
    await orders.send(rechained(orders.row(torn, Ordered())._replace(data=b'{"note": 3')))
    await orders.send(orders.row(gap, Ordered(note="gap"), skip=2))
    await orders.send(orders.row(forged, Ordered(note="forged"))._replace(data=b'{"note":"x"}'))
    await orders.say(good, Ordered(note="good"))

    async with running(setup.worker()) as worker:
        await until(lambda: notes_of(setup.dsn) == ["good"] and len(policies_parked(setup)) == 4)

    assert policies_parked(setup) == {
        newer: ("unknown", "waiting"),
        torn: ("failed", "waiting"),
        gap: ("failed", "dead"),
        forged: ("forked", "dead"),
    }
    assert list(worker.house.skipped) == [Sample(setup.run).orders.name]


def policies_parked(setup: Setup) -> dict[UUID, tuple[str, str]]:
    query = "SELECT aggregate_id, kind, state FROM parking WHERE subscriber = 'policies'"
    return {
        row[0]: (row[1], "waiting" if row[1] == "failed" and row[2] == "waiting" else row[2])
        for row in rows(setup.dsn, query)
    }


def rechained(row: Any) -> Any:
    digest = fact_digest(
        aggregate_id=row.aggregate_id,
        version=row.version,
        type=row.type,
        event_id=row.event_id,
        occurred_at=row.occurred_at,
        actor_id=row.actor_id,
        data=row.data,
    )
    return row._replace(chain=chained(FIRST_CHAIN, digest))


async def test_a_version_that_was_unknown_is_taken_once_a_worker_knows_it(
    setup: Setup, orders: Stranger
) -> None:
    row = orders.row(uuid4(), Ordered(note="newer"))._replace(type="prm.order.Ordered.v9")
    async with running(setup.worker()):
        await orders.send(rechained(row))
        await until(lambda: ("policies", "unknown", "waiting") in parked(setup.dsn))

    class OrderedOfNine(Ordered, type="prm.order.Ordered.v9"):
        pass

    try:
        async with running(setup.worker()):
            await until(lambda: {state for *_, state in parked(setup.dsn)} == {"released"})
    finally:
        del Fact.named["prm.order.Ordered.v9"]


async def test_a_fact_that_takes_too_long_is_parked(setup: Setup, orders: Stranger) -> None:
    good = uuid4()
    await orders.say(uuid4(), Ordered(note="slow"))
    await orders.say(good, Ordered(note="good"))

    async with running(replace(setup, time_limit=0.3).worker()):
        await until(lambda: parked(setup.dsn) and notes_of(setup.dsn, good))
        assert parked(setup.dsn)[0][:2] == ("policies", "failed")
