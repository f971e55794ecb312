"""The promises of the delivery, on a real broker and a real database."""

import asyncio
import signal
import sys
from asyncio.subprocess import Process
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from aiokafka import AIOKafkaConsumer

from chassis.consuming.dead_letters import DeadLetters, LetterClosed, LetterNotFirst, LetterNotFound
from chassis.consuming.records import headers_of
from chassis.publishing.topics import dead_letters_of
from chassis.storage.postgres import PooledReads
from chassis.storage.wire import FIRST_CHAIN, chained, fact_digest
from chassis.testing import a_command, event_store
from prm_contracts.facts import Basis, Fact

from .reactions import (
    FAILING,
    HOT,
    Ordered,
    OrderNamed,
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


def rows(dsn: str, query: str) -> list[Any]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(query.encode()).fetchall()


def parked(dsn: str) -> list[tuple[str, str, str]]:
    """(subscriber, kind, state) of what is parked, in the order of its parking."""
    return rows(dsn, "SELECT subscriber, kind, state FROM parking ORDER BY id")


@pytest.fixture
async def letters(setup: Setup) -> Any:
    reads = PooledReads(setup.dsn)
    await reads.open()
    yield DeadLetters(reads)
    await reads.close()


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


async def test_a_dead_fact_is_redriven_and_those_behind_it_follow(
    setup: Setup, orders: Stranger, letters: DeadLetters
) -> None:
    order = uuid4()
    FAILING.add("first")
    await orders.say(order, Ordered(note="first"), Ordered(note="second"))

    async with running(setup.worker()):
        [letter] = await until(letters.list)
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


async def test_a_decision_waits_until_what_it_rests_on_has_come(
    setup: Setup, orders: Stranger, named: Stranger
) -> None:
    name, order, other = uuid4(), uuid4(), uuid4()
    basis = Basis(topic=Sample(setup.run).names.name, aggregate_id=name, version=1)

    async with running(setup.worker()) as worker:
        await orders.say(order, Ordered(note="based", based_on=(basis,)), Ordered(note="behind"))
        await orders.say(other, Ordered(note="other"))
        await until(lambda: notes_of(setup.dsn, other) and len(parked(setup.dsn)) == 2)
        held = await worker.state()
        before = notes_of(setup.dsn, order)
        await named.say(name, OrderNamed(name="x"))
        await until(lambda: len(notes_of(setup.dsn, order)) == 2)
        after = await worker.state()

    assert (before, held.held, held.parked, held.lag) == ([], 1, 1, 1)
    assert (notes_of(setup.dsn, order), after.lag) == (["based", "behind"], 0)


async def test_a_decision_waits_for_its_basis_fifteen_minutes_at_most(
    setup: Setup, orders: Stranger
) -> None:
    basis = Basis(topic=Sample(setup.run).names.name, aggregate_id=uuid4(), version=1)

    async with running(setup.worker()):
        await orders.say(uuid4(), Ordered(note="based", based_on=(basis,)))
        await until(lambda: parked(setup.dsn) == [("policies", "held", "waiting")])
        setup.clock.at += timedelta(minutes=15)
        await until(lambda: notes_of(setup.dsn) == ["based"])


async def test_a_decision_resting_on_what_this_service_does_not_read_is_not_held(
    setup: Setup, orders: Stranger
) -> None:
    basis = Basis(topic="prm.elsewhere", aggregate_id=uuid4(), version=3)
    await orders.say(uuid4(), Ordered(note="based", based_on=(basis,)))

    async with running(setup.worker()):
        await until(lambda: notes_of(setup.dsn) == ["based"])

    assert parked(setup.dsn) == []


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
        await orders.send_raw(key, row.data, right)
        await until(lambda: notes_of(setup.dsn) == ["right"])

    assert [letter.kind for letter in await letters.list()] == ["untrustworthy"] * 6


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
    assert worker.house.skipped["prm.order.OrderPainted.v1"] >= 1


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


async def test_a_repeat_after_newer_facts_has_no_effect(setup: Setup, orders: Stranger) -> None:
    order = uuid4()
    said = await orders.say(order, Ordered(note="1"), Ordered(note="2"))
    await orders.send(*said)
    await orders.say(order, Ordered(note="3"))

    async with running(setup.worker()):
        await until(lambda: len(notes_of(setup.dsn)) == 3)

    assert notes_of(setup.dsn) == journal_of(setup.dsn) == ["1", "2", "3"]
    assert parked(setup.dsn) == []


async def test_a_fact_that_takes_too_long_is_parked(setup: Setup, orders: Stranger) -> None:
    good = uuid4()
    await orders.say(uuid4(), Ordered(note="slow"))
    await orders.say(good, Ordered(note="good"))

    async with running(replace(setup, time_limit=0.3).worker()):
        await until(lambda: parked(setup.dsn) and notes_of(setup.dsn, good))
        assert parked(setup.dsn)[0][:2] == ("policies", "failed")


async def killed_when(setup: Setup, condition: Any) -> None:
    """A worker with its relay in a process of their own, killed when the condition holds."""
    process = await started(setup)
    try:
        await until(condition)
    finally:
        process.kill()
        await process.wait()


async def started(setup: Setup) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import runpy; runpy.run_module('tests.reactions', run_name='__main__')",
        setup.as_json(),
        cwd=Path(__file__).parents[1],
        stderr=asyncio.subprocess.DEVNULL,
    )


async def test_workers_killed_at_any_time_lose_and_double_nothing(
    setup: Setup, orders: Stranger
) -> None:
    ids = [uuid4() for _ in range(10)]
    expected = [str(n) for n in range(30)]

    async def speak() -> None:
        for note in expected:
            for order in ids:
                await orders.say(order, Ordered(note=note))

    speaking = asyncio.create_task(speak())
    for share in (20, 120):
        await killed_when(setup, lambda share=share: len(notes_of(setup.dsn)) >= share)
    await speaking
    async with running(setup.worker()):
        await until(lambda: len(notes_of(setup.dsn)) >= 300 and len(journal_of(setup.dsn)) >= 300)

    assert all(notes_of(setup.dsn, order) == expected for order in ids)
    assert all(journal_of(setup.dsn, order) == expected for order in ids)


@pytest.mark.parametrize(
    ("notes", "at_most"),
    [
        pytest.param(("kill", "first", "later"), 3, id="at the head of its window"),
        # It may die twice with a window that begins before it, and is then the first of its own.
        pytest.param(("first", "kill", "later"), 5, id="behind another"),
    ],
)
async def test_a_fact_that_kills_its_process_is_parked_and_the_others_go_on(
    setup: Setup, orders: Stranger, notes: tuple[str, ...], at_most: int
) -> None:
    for note in notes:
        await orders.say(uuid4(), Ordered(note=note))

    deaths = 0

    def is_over() -> bool:
        return len(notes_of(setup.dsn)) == 2 and ("policies", "failed", "dead") in parked(setup.dsn)

    while not is_over() and deaths < 6:
        process = await started(setup)

        def has_ended(process: Process = process) -> bool:
            return process.returncode is not None or is_over()

        await until(has_ended, within=60)
        deaths += process.returncode == -signal.SIGKILL
        if process.returncode is None:
            process.kill()
            await process.wait()

    assert sorted(notes_of(setup.dsn)) == ["first", "later"]
    assert 3 <= deaths <= at_most


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

    await orders.say(uuid4(), *(Ordered(note="hot") for _ in range(8)))
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
            await until(lambda: notes_of(setup.dsn).count("hot") == 8)
        is_over.set()
        by_hand = await hammering

    assert notes_of(setup.dsn).count("by hand") == by_hand
    versions = rows(setup.dsn, "SELECT array_agg(version ORDER BY position) FROM events")[0][0]
    assert versions == list(range(1, by_hand + 9))


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


def due_fired(dsn: str) -> list[str]:
    return [note for note in notes_of(dsn) if note.startswith("due")]


async def test_a_deadline_fires_once_when_its_instant_has_come(
    setup: Setup, orders: Stranger
) -> None:
    now = setup.clock.now()
    await orders.say(uuid4(), Ordered(note="1", due_at=now + timedelta(days=2)))

    async with running(setup.worker()) as worker:
        await until(lambda: notes_of(setup.dsn))
        assert await worker.next_due() == now + timedelta(days=2)
        setup.clock.at += timedelta(days=30)
        await worker.fire_due(setup.clock.now())
        await until(lambda: due_fired(setup.dsn))
        await worker.fire_due(setup.clock.now())
        assert await worker.next_due() is None

    assert due_fired(setup.dsn) == ["due 03.03."]


async def test_a_deadline_that_was_moved_or_lifted_does_not_fire(
    setup: Setup, orders: Stranger
) -> None:
    now, moved, lifted = setup.clock.now(), uuid4(), uuid4()
    later = now + timedelta(days=9)
    await orders.say(moved, Ordered(due_at=now + timedelta(days=1)), Ordered(due_at=later))
    await orders.say(lifted, Ordered(due_at=now + timedelta(days=1)), Ordered(note="lift"))

    async with running(setup.worker()) as worker:
        await until(lambda: len(notes_of(setup.dsn)) == 4)
        await worker.fire_due(now + timedelta(days=5))
        assert due_fired(setup.dsn) == []
        await worker.fire_due(later)

    assert notes_of(setup.dsn, moved)[-1] == "due 10.03."
    assert due_fired(setup.dsn) == ["due 10.03."]


async def test_late_deadlines_fire_in_the_order_of_their_instants(
    setup: Setup, orders: Stranger
) -> None:
    now = setup.clock.now()
    for days in (3, 1, 2):
        await orders.say(uuid4(), Ordered(due_at=now - timedelta(days=days)))

    async with running(setup.worker()):
        await until(lambda: len(due_fired(setup.dsn)) == 3)

    assert sorted(due_fired(setup.dsn)) == ["due 26.02.", "due 27.02.", "due 28.02."]


async def test_tallies_are_facts_of_the_service(setup: Setup, orders: Stranger) -> None:
    await orders.say(uuid4(), Ordered(note="x"))

    async with running(setup.worker()):
        await until(lambda: notes_of(setup.dsn))

    assert rows(setup.dsn, "SELECT type FROM events") == [(Tallied.fact_type,)]
