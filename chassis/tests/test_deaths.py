"""Workers that are killed, and a fact that kills them."""

import asyncio
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from chassis.consuming import deadlines, parking
from chassis.consuming.reading import Reader
from chassis.consuming.tracking import Place
from chassis.publishing.topics import partition_of
from prm_contracts.facts import Basis

from .parked import parked, rows
from .reactions import (
    Ordered,
    OrderNamed,
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

MOST_DEATHS = 7  # a test gives up then


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
    "notes",
    [
        pytest.param(("kill", "first", "later"), id="at the head of its window"),
        pytest.param(("first", "kill", "later"), id="behind another"),
    ],
)
async def test_a_fact_that_kills_its_process_is_parked_and_the_others_go_on(
    setup: Setup, orders: Stranger, notes: tuple[str, ...]
) -> None:
    for note in notes:
        await orders.say(uuid4(), Ordered(note=note))

    assert await deaths_until_parked(setup, taken=2) == 3
    assert sorted(notes_of(setup.dsn)) == ["first", "later"]


async def test_a_fact_that_kills_a_process_which_took_others_before_is_found_as_soon(
    setup: Setup, orders: Stranger
) -> None:
    """What its windows began with was noted with the first of them only."""
    order = uuid4()
    async with running(setup.worker()):
        await orders.say(order, Ordered(note="first"))
        await until(lambda: notes_of(setup.dsn) == ["first"])
    with psycopg.connect(setup.dsn) as owner:  # as a life that ended with its second window left it
        owner.execute(
            'INSERT INTO underway SELECT topic, partition, "offset", 1 FROM tracking'
            " WHERE subscriber = 'policies' AND \"offset\" >= 0"
        )
    await orders.say(order, Ordered(note="kill"))

    assert await deaths_until_parked(setup, taken=1) == 2
    assert notes_of(setup.dsn) == ["first"]


@pytest.mark.parametrize("rests", [False, True])
async def test_what_was_current_at_a_death_is_taken_one_by_one_though_it_comes_in_parts(
    setup: Setup, orders: Stranger, rests: bool
) -> None:
    """Who ended the process may come behind others that came with it then. A rest ends that."""
    order = uuid4()
    topic = Sample(setup.run).orders
    place = Place(topic.name, partition_of(str(order).encode(), topic))
    for note in ("first", "second", "third"):
        await orders.say(order, Ordered(note=note))
    reader = Reader(setup.bootstrap)
    records, _ = await reader.read(place, 0, 3, 3)
    await reader.close()
    with psycopg.connect(setup.dsn) as owner:  # as a life left it that ended with all three
        owner.execute("INSERT INTO underway VALUES (%s, %s, 0, 1)", place)
    worker = setup.worker()

    await worker.committer.settle(records[:1])
    for _ in range(2 * rests):
        await worker.committer.retry_parked()
    await worker.committer.settle(records[1:])

    await ended(worker)
    assert notes_of(setup.dsn) == ["first", "second", "third"]
    counted = setup.sight.metrics.registry.get_sample_value
    assert counted("prm_delivery_window_facts_count") == (2 if rests else 3)


@pytest.mark.parametrize(
    ("notes", "taken"),
    [
        pytest.param(("kill",), [], id="itself"),
        pytest.param(("first", "kill", "later"), ["first"], id="behind another of its aggregate"),
    ],
)
async def test_a_fact_that_waited_and_kills_its_process_is_parked_at_last(
    setup: Setup, orders: Stranger, named: Stranger, notes: tuple[str, ...], taken: list[str]
) -> None:
    """Once what it is based on has come. Another that was tried with it is not to blame."""
    name, order = uuid4(), uuid4()
    basis = Basis(topic=Sample(setup.run).names.name, aggregate_id=name, version=1)
    await orders.say(order, *(Ordered(note=note, based_on=(basis,)) for note in notes))
    async with running(setup.worker()):
        await until(lambda: len(parked(setup.dsn)) == len(notes))

    await named.say(name, OrderNamed(name="x"))

    assert await deaths_until_parked(setup, len(taken)) < MOST_DEATHS
    assert notes_of(setup.dsn) == taken
    tried = len(setup.retry_after) + 1
    [dead] = rows(setup.dsn, "SELECT attempts, reason FROM parking WHERE state = 'dead'")
    assert dead == (tried, parking.CUT_OFF)


async def test_a_deadline_that_kills_its_process_lets_the_others_fire(
    setup: Setup, orders: Stranger
) -> None:
    fatal, fine = uuid4(), uuid4()
    due_at = setup.clock.now() + timedelta(days=1)
    await orders.say(fatal, Ordered(note="fatal when due", due_at=due_at))
    await orders.say(fine, Ordered(note="fine", due_at=due_at + timedelta(days=1)))
    async with running(setup.worker()):
        await until(lambda: len(rows(setup.dsn, "SELECT FROM deadlines")) == 2)
        await until(lambda: len(notes_of(setup.dsn)) == 2)
    with psycopg.connect(setup.dsn) as owner:  # the clock of another process stands as well
        owner.execute("UPDATE deadlines SET due_at = due_at - interval '9 days'")

    deaths = await deaths_until(setup, lambda: len(notes_of(setup.dsn, fine)) == 2)

    assert 0 < deaths < MOST_DEATHS
    assert notes_of(setup.dsn, fine) == ["fine", "due 22.02."]
    [(attempts, reason)] = rows(
        setup.dsn, "SELECT attempts, reason FROM deadlines WHERE fired_at IS NULL"
    )
    assert (attempts, reason) == (deaths, deadlines.CUT_OFF)


async def test_of_partitions_in_one_window_the_one_that_died_most_often_is_suspected(
    setup: Setup, orders: Stranger
) -> None:
    topic = Sample(setup.run).orders
    ids = {partition_of(str(each).encode(), topic): each for each in (uuid4() for _ in range(50))}
    for number, note in enumerate(("beside it", "alone at three deaths")):
        await orders.say(ids[number], Ordered(note=note))
    reader = Reader(setup.bootstrap)
    read = [await reader.read(Place(topic.name, number), 0, 1, 1) for number in (0, 1)]
    await reader.close()
    with psycopg.connect(setup.dsn) as owner:
        owner.execute("INSERT INTO underway VALUES (%s, 0, -1, 1), (%s, 1, 0, 3)", [topic.name] * 2)

    await settled(setup, [record for records, _ in read for record in records])

    assert notes_of(setup.dsn) == ["beside it"]
    assert ("policies", "failed", "dead") in parked(setup.dsn)


async def test_who_was_current_at_a_death_from_outside_is_not_parked(
    setup: Setup, orders: Stranger
) -> None:
    for note in ("first", "later"):
        await orders.say(uuid4(), Ordered(note=note))
    topic = Sample(setup.run).orders
    with psycopg.connect(setup.dsn) as owner:  # as a second life left it, ended while it was alone
        owner.execute(
            "INSERT INTO underway SELECT %s, number, 0, 2 FROM generate_series(0, %s) AS number",
            (topic.name, topic.partitions - 1),
        )

    async with running(setup.worker()):
        await until(lambda: sorted(notes_of(setup.dsn)) == ["first", "later"])

    assert parked(setup.dsn) == []


async def test_nothing_is_underway_once_a_worker_rests(setup: Setup, orders: Stranger) -> None:
    """A process that is killed while it rests blames no fact that comes after."""
    async with running(setup.worker()):
        await orders.say(uuid4(), Ordered(note="first"))
        await until(lambda: notes_of(setup.dsn) == ["first"])

        await until(lambda: not underway(setup.dsn))


async def deaths_until_parked(setup: Setup, taken: int) -> int:
    def is_over() -> bool:
        is_dead = ("policies", "failed", "dead") in parked(setup.dsn)
        return len(notes_of(setup.dsn)) == taken and is_dead

    return await deaths_until(setup, is_over)


async def deaths_until(setup: Setup, is_over: Callable[[], bool]) -> int:
    deaths = 0
    while not is_over() and deaths < MOST_DEATHS:
        process = await started(setup)

        def has_ended(process: Process = process) -> bool:
            return process.returncode is not None or is_over()

        await until(has_ended, within=60)
        deaths += process.returncode == -signal.SIGKILL
        if process.returncode is None:
            process.kill()
            await process.wait()
    return deaths


def underway(dsn: str) -> list[Any]:
    return rows(dsn, "SELECT * FROM underway")
