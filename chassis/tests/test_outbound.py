"""Errands are done in the outside world at least once, and their outcome is recorded once."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from chassis.consuming.outbound import AT_ONCE, Outbound
from chassis.delivery import Outside
from chassis.storage.postgres import PooledReads
from chassis.vault import Vault

from .reactions import WORLD, Ordered, Sample, Setup, Stranger, notes_of, running, until

ASK = (
    "INSERT INTO errands (rule, aggregate_id, version, correlation_id, causation_id)"
    " VALUES ('deliver', %s, 1, gen_random_uuid(), gen_random_uuid())"
)


@pytest.fixture(autouse=True)
def quiet_world() -> Iterator[None]:
    WORLD.__init__()  # type: ignore[misc]
    yield
    WORLD.__init__()  # type: ignore[misc]


def asked(setup: Setup, count: int = 1) -> list[UUID]:
    orders = [uuid4() for _ in range(count)]
    with psycopg.connect(setup.dsn, autocommit=True) as connection:
        connection.cursor().executemany(ASK, [(order,) for order in orders])
    return orders


def rows(setup: Setup, statement: str = "SELECT attempts, reason FROM errands") -> list[Any]:
    with psycopg.connect(setup.dsn, autocommit=True) as connection:
        done = connection.execute(statement.encode())
        return done.fetchall() if done.description else []


def runner(setup: Setup, instance: str = "1") -> Outbound:
    nobody = AsyncConnectionPool(setup.dsn, open=False)
    outside = Outside(PooledReads(setup.dsn), Vault(nobody, bytes(32)))
    return Outbound(Sample(setup.run), setup.dsn, outside, setup.clock.now, instance)


def delivered(orders: list[UUID]) -> list[str]:
    return sorted(f"delivered to {order}" for order in orders)


async def test_what_a_fact_asks_for_is_done_and_its_outcome_recorded(
    setup: Setup, orders: Stranger
) -> None:
    order, recalled = uuid4(), uuid4()

    await orders.say(order, Ordered(note="deliver"))
    await orders.say(recalled, Ordered(note="deliver"), Ordered(note="recall"))
    async with running(setup.worker()):
        await until(lambda: len(notes_of(setup.dsn)) == 3)
    async with running(runner(setup)):
        await until(lambda: not rows(setup))

    assert notes_of(setup.dsn, order) == ["deliver", f"delivered to {order}"]
    assert [errand.aggregate_id for errand in WORLD.errands] == [order]


async def test_while_the_world_is_away_one_errand_after_another_asks_for_it(setup: Setup) -> None:
    WORLD.is_away = True
    orders = asked(setup, 20)

    async with running(runner(setup)) as run:
        await until(lambda: len(WORLD.errands) > AT_ONCE)  # the first handful did not know it yet
        first = len(WORLD.errands)
        async with await psycopg.AsyncConnection.connect(setup.dsn) as connection:
            waiting = await run.waiting(connection)
        WORLD.is_away = False
        await until(lambda: not rows(setup))

    assert first == AT_ONCE + 1
    [of_rule] = waiting.rules
    assert (of_rule.rule, of_rule.waiting) == ("deliver", 20)
    assert AT_ONCE <= of_rule.in_vain < 20
    assert waiting.under_way == 20 - of_rule.in_vain
    assert waiting.reasons == [f"deliver: {of_rule.in_vain} wait: nobody answers"]
    assert sorted(notes_of(setup.dsn)) == delivered(orders)


async def test_one_that_is_refused_for_now_waits_alone(setup: Setup) -> None:
    WORLD.refusals = 1
    orders = asked(setup, 3)

    async with running(runner(setup)):
        await until(lambda: len(notes_of(setup.dsn)) == 2)
        [(attempts, reason)] = rows(setup)
        await until(lambda: not rows(setup))

    assert (attempts, reason) == (1, "busy")
    assert sorted(notes_of(setup.dsn)) == delivered(orders)
    assert [errand.attempt for errand in WORLD.errands] == [1, 1, 1, 2]


async def test_after_a_death_in_between_it_is_done_again_and_recorded_once(setup: Setup) -> None:
    """Others first: it may be what ended the worker, and ends it again."""
    WORLD.is_slow.clear()
    [order] = asked(setup)
    dying = asyncio.create_task(runner(setup).run())
    await until(lambda: WORLD.errands)

    dying.cancel()
    with suppress(asyncio.CancelledError):
        await dying
    WORLD.is_slow.set()
    [other] = asked(setup)
    async with running(runner(setup)):
        await until(lambda: not rows(setup))

    done = [(errand.aggregate_id, errand.attempt) for errand in WORLD.errands]
    assert done == [(order, 1), (other, 1), (order, 2)]
    assert notes_of(setup.dsn) == [f"delivered to {each}" for each in (other, order)]


async def test_what_one_worker_is_at_no_other_takes(setup: Setup) -> None:
    orders = asked(setup, 40)

    async with running(runner(setup, "1")), running(runner(setup, "2")):
        await until(lambda: not rows(setup))

    assert sorted(errand.aggregate_id for errand in WORLD.errands) == sorted(orders)
    assert sorted(notes_of(setup.dsn)) == delivered(orders)


async def test_one_that_is_asked_for_anew_while_it_is_under_way_is_done_for_that_too(
    setup: Setup,
) -> None:
    """Ended meanwhile, and asked for by a later version: the end of the first is not its end."""
    WORLD.is_slow.clear()
    [order] = asked(setup)

    async with running(runner(setup)):
        await until(lambda: WORLD.errands)
        rows(
            setup,
            "DELETE FROM errands; INSERT INTO errands (rule, aggregate_id, version, correlation_id,"
            f" causation_id) VALUES ('deliver', '{order}', 3, gen_random_uuid(),"
            " gen_random_uuid())",
        )
        WORLD.is_slow.set()
        await until(lambda: not rows(setup))

    assert [errand.version for errand in WORLD.errands] == [1, 3]
    assert notes_of(setup.dsn) == delivered([order])


async def test_an_outcome_is_recorded_once_the_database_is_back(setup: Setup) -> None:
    WORLD.is_slow.clear()
    [order] = asked(setup)

    async with running(runner(setup)):
        await until(lambda: WORLD.errands)
        rows(
            setup,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        WORLD.is_slow.set()
        await until(lambda: not rows(setup))

    assert len(WORLD.errands) == 1
    assert notes_of(setup.dsn) == delivered([order])
