"""A store is brought back from its topics, on real parts, and its service goes on as before."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from chassis.consuming.dead_letters import DeadLetters, LetterClosed
from chassis.consuming.outbound import Outbound
from chassis.delivery import Outside
from chassis.publishing.topics import dead_letters_of
from chassis.recovery.restoring import Refused, Restored, StillRunning
from chassis.recovery.resuming import Resumed
from chassis.recovery.runs import Addresses, restore, verify
from chassis.running.settings import Settings
from chassis.running.work import Work
from chassis.storage.migrate import migrate
from chassis.storage.postgres import PooledReads
from chassis.storage.window import FactsMissing
from chassis.testing import a_command
from chassis.testing.topics import Topics
from chassis.vault import Vault
from ops.testing import a_database

from .deployed import MEMBER
from .parked import parked, rows
from .publishing import after, published, rows_of, store_on, tallied, tally, writer
from .reactions import (
    FAILING,
    MODELS,
    WORLD,
    Ordered,
    Sample,
    Setup,
    Stranger,
    Tally,
    journal_of,
    notes_of,
    running,
    until,
)
from .restoring import STEPS
from .sampled import environment

ALL = "SELECT * FROM events ORDER BY position"
UNENDED = "SELECT 1 FROM restorations WHERE ended_at IS NULL"


async def restored(setup: Setup, **how: Any) -> tuple[Restored, Resumed | None]:
    at = Addresses(setup.dsn, setup.dsn, setup.bootstrap)
    return await restore(at, Sample(setup.run), setup.clock.now, **how)


def execute(dsn: str, statement: str) -> None:
    with psycopg.connect(dsn) as owner:
        owner.execute(statement.encode())


@pytest.fixture(autouse=True)
def quiet_world() -> None:
    WORLD.__init__()  # type: ignore[misc]


@pytest.fixture
def empty(setup: Setup, postgres_server: str) -> Iterator[Setup]:
    """The same service with another database, in which nothing is yet."""
    with a_database(postgres_server) as dsn:
        migrate(dsn)
        execute(dsn, MODELS)
        yield Setup(setup.run, dsn, setup.bootstrap, clock=setup.clock)


async def test_an_empty_store_is_refilled_to_the_byte(setup: Setup, empty: Setup) -> None:
    async with store_on(setup.dsn) as events:
        ids = await tallied(events, 7)
        await tallied(events, 30, ids)
        await events.execute(tally_two, a_command(request_hash="x"), ids[0], ids[1])
        await published(setup, 39)
    async with writer(setup) as strange:
        first, *_, last = rows_of(setup.dsn)
        await strange.write(first)
        await strange.raw(None, b"noise", [])
        await strange.write(after(first)._replace(version=40))
        await strange.write(after(last)._replace(chain=bytes(32)))
        await strange.write(after(last)._replace(position=900_000_000))

    found, _ = await restored(empty)

    assert rows(empty.dsn, ALL) == rows(setup.dsn, ALL)
    assert (found.facts, found.head, found.passed.repeats, found.lost) == (39, 39, 1, [])
    assert len(found.beyond) == 1
    verified, _ = await verify(
        empty.dsn, empty.bootstrap, Sample(setup.run).name, Sample(setup.run).topics
    )
    assert verified.findings.counts == {"not-stored": 1}  # somebody who knows the chain wrote it


async def tally_two(store: Any, ctx: Any, first: UUID, second: UUID) -> Any:
    """Answers with one that records nothing too: its facts alone do not tell that."""
    await store.save(ctx, await store.load_or_new(Tally, uuid4()))
    await tally(store, ctx, second, "second")
    return await tally(store, ctx, first, "first")


async def test_a_store_that_was_set_back_is_brought_forward(setup: Setup) -> None:
    async with store_on(setup.dsn) as events:
        await tallied(events, 10, [uuid4() for _ in range(3)])
        await published(setup, 10)
        whole = rows(setup.dsn, ALL)
        execute(setup.dsn, "DELETE FROM events WHERE position > 6; UPDATE relay SET position = 4")
        async with running(setup.relay()) as relay:
            await until(lambda: relay.blocked)

            with pytest.raises(StillRunning):
                await kept_by_a_leader(setup)
        found, _ = await restored(setup)
        again, resumed_again = await restored(setup)

        assert (found.before, found.facts) == (6, 4)
        assert rows(setup.dsn, ALL) == whole
        assert rows(setup.dsn, "SELECT position FROM relay") == [(10,)]
        assert (again.facts, resumed_again) == (0, None)
        await tallied(events, 1)
        await published(setup, 11)


async def kept_by_a_leader(setup: Setup) -> None:
    """As if the relay just looked: its lock is taken and let go with each look."""
    async with await psycopg.AsyncConnection.connect(setup.dsn, autocommit=True) as leader:
        locked = await leader.execute("SELECT pg_advisory_lock(5928343)")
        await locked.fetchall()
        await restored(setup)


async def test_a_store_that_went_on_after_it_was_set_back_is_refused(setup: Setup) -> None:
    async with store_on(setup.dsn) as events:
        ids = await tallied(events, 10, [uuid4() for _ in range(3)])
        await published(setup, 10)
        execute(setup.dsn, "DELETE FROM events WHERE position > 6; UPDATE relay SET position = 6")
        await tallied(events, 2, ids[6:])
    before = rows(setup.dsn, ALL)

    with pytest.raises(Refused, match=rf"version 3 of {ids[6]}: prm\.tallies(?s:.)*--afresh"):
        await restored(setup, accept_loss=True)

    assert rows(setup.dsn, ALL) == before
    assert rows(setup.dsn, "SELECT FROM restorations") == []


async def test_a_forgery_that_follows_is_passed_over_when_it_is_named(
    setup: Setup, empty: Setup
) -> None:
    async with store_on(setup.dsn) as events:
        await tallied(events, 5)
        await published(setup, 5)
    async with writer(setup) as strange:
        [first, *_] = rows_of(setup.dsn)
        partition = strange.partition(first)
        offset = await strange.write(after(first)._replace(position=4))  # which another fact has
    where = f"{Sample(setup.run).tallies.name}/{partition}/{offset}"

    with pytest.raises(Refused, match=r"position 4: (?s:.)*--foreign"):
        await restored(empty)
    await restored(empty, not_ours=frozenset([where]))

    assert rows(empty.dsn, ALL) == rows(setup.dsn, ALL)


async def test_what_the_topics_have_lost_is_named_and_never_given_again(
    setup: Setup, empty: Setup
) -> None:
    sample = Sample(setup.run)
    async with store_on(setup.dsn) as events, writer(setup) as hand:
        ids = await tallied(events, 9, [uuid4() for _ in range(3)])
        for row in rows_of(setup.dsn):
            if row.position not in (5, 6):  # version 2 of the second and of the third
                await hand.write(row)

    with pytest.raises(Refused) as refused:
        await restored(empty)
    nothing = rows(empty.dsn, ALL)
    found, _ = await restored(empty, accept_loss=True)

    lines = [f"version 2 of {ids[1]}", f"version 2 of {ids[2]}", "position 5 to 6"]
    assert nothing == []
    assert sorted(found.lost) == sorted(lines)
    assert all(line in str(refused.value) for line in [*lines, "--accept-loss"])
    async with store_on(empty.dsn) as events:
        saved = await events.execute(tally, a_command(), ids[1], "on")
        async with running(empty.relay()) as relay:
            await until(lambda: relay.published == 10)
        execute(empty.dsn, "UPDATE relay SET position = 4")  # as a backup might have it
        async with running(empty.relay()) as relay:
            await until(lambda: relay.published == 10)
        verified, _ = await verify(empty.dsn, empty.bootstrap, sample.name, sample.topics)
        execute(empty.dsn, "DELETE FROM lost_facts")
        with pytest.raises(FactsMissing):
            await events.execute(tally, a_command(), ids[1], "on")

    assert saved.versions == ((ids[1], 4),)
    assert rows(empty.dsn, "SELECT max(position) FROM events") == [(10,)]
    assert not verified.findings.counts, verified.findings.shown
    assert verified.lost == 2


async def test_until_it_is_restored_a_store_that_is_behind_its_topics_decides_nothing(
    setup: Setup, empty: Setup, orders: Stranger
) -> None:
    async with store_on(setup.dsn) as events:
        await tallied(events, 3)
        await published(setup, 3)
    await orders.say(uuid4(), Ordered(note="deliver"))

    async with at_work(empty) as work:
        await until(lambda: "prm restore" in (work.worker.committer.reason or ""))
        decided = notes_of(empty.dsn)
    await restored(empty)
    async with at_work(empty):
        await until(lambda: len(notes_of(empty.dsn)) == 5)

    assert decided == []
    assert "deliver" in notes_of(empty.dsn)


@asynccontextmanager
async def at_work(setup: Setup) -> AsyncIterator[Work]:
    """The worker's half of a process: relay, delivery and errands as they are plugged together."""
    given = environment(setup.dsn, kafka_bootstrap=setup.bootstrap)
    service: Any = Sample(setup.run)
    nobody = AsyncConnectionPool(setup.dsn, open=False)
    outside = Outside(PooledReads(setup.dsn), Vault(nobody, bytes(32)))
    async with store_on(setup.dsn) as events:
        work = Work(
            service,
            Settings.read(given),
            setup.clock,
            events,
            outside=outside,
            on_committed=lambda: None,
            sight=setup.sight,
        )
        await work.open()
        async with running(work):
            yield work


@pytest.mark.parametrize("rewound", [timedelta(hours=1), timedelta(0)], ids=["hour", "not"])
async def test_nothing_is_decided_or_done_twice_by_the_service_that_goes_on(
    setup: Setup, empty: Setup, orders: Stranger, rewound: timedelta
) -> None:
    setup.retry_after = empty.retry_after = (0.1,)
    order, bad = uuid4(), uuid4()
    FAILING.add("dies")
    async with living(setup):
        past = setup.clock.now() - timedelta(days=1)
        await orders.say(order, Ordered(note="deliver", due_at=past), Ordered(note="once"))
        await orders.say(bad, Ordered(note="1"), Ordered(note="dies"), Ordered(note="behind"))
        await until(lambda: len(notes_of(setup.dsn)) == 5 and len(parked(setup.dsn)) == 2)
        await until(lambda: all_published(setup))
    whole = rows(setup.dsn, ALL)

    await restored(empty, rewind=rewound)
    brought = rows(empty.dsn, ALL), sorted(journal_of(empty.dsn))
    async with living(empty):
        await orders.say(order, Ordered(note="3"))
        await until(lambda: "3" in notes_of(empty.dsn))
        await until(lambda: rows(empty.dsn, "SELECT FROM deadlines WHERE fired_at IS NOT NULL"))
        letter = (await until(lambda: dead(empty)))[0]
        FAILING.clear()
        await redriven(empty, letter)
        await until(lambda: "behind" in notes_of(empty.dsn))

    assert brought == (whole, sorted(journal_of(setup.dsn)))
    assert rows(empty.dsn, ALL)[: len(whole)] == whole
    assert notes_of(empty.dsn)[5:] == ["3", "dies", "behind"]
    assert [errand.aggregate_id for errand in WORLD.errands] == [order]


async def test_strangers_records_and_letters_are_of_no_fact(
    setup: Setup, empty: Setup, orders: Stranger, topics: Topics
) -> None:
    letter = {"prm_topic": f"prm.orders-{setup.run}", "prm_subscriber": "policies"}
    async with living(setup):
        await orders.say(uuid4(), Ordered(note="once"))
        await orders.send_raw(b"", b"", [("ce_type", Ordered.fact_type.encode())])
        await until(lambda: dead(setup) and all_published(setup))
    for event in ({}, {"ce_id": "none"}):
        claimed = letter | {"prm_partition": "0", "prm_offset": "0"} | event
        topics.write(dead_letters_of(Sample(setup.run).name), b"", b"", claimed)

    await restored(empty)

    assert rows(empty.dsn, ALL) == rows(setup.dsn, ALL) != []


@pytest.mark.parametrize("step", STEPS)
async def test_a_restore_that_died_on_the_way_is_completed_by_the_next(
    setup: Setup, empty: Setup, orders: Stranger, step: str
) -> None:
    setup.retry_after = empty.retry_after = (0.1,)
    ids, bad = [uuid4() for _ in range(6)], uuid4()
    FAILING.add("dies")
    async with living(setup):
        for order in ids:
            await orders.say(order, Ordered(note="deliver"), Ordered(note="once"))
        await orders.say(bad, Ordered(note="dies"), Ordered(note="behind"))
        await until(lambda: len(notes_of(setup.dsn)) == 18 and len(parked(setup.dsn)) == 2)
        await until(lambda: all_published(setup))
    whole, shown = rows(setup.dsn, ALL), sorted(journal_of(setup.dsn))

    assert await died(empty, step) == -signal.SIGKILL
    left = rows(empty.dsn, ALL), rows(empty.dsn, UNENDED)
    await restored(empty)
    brought, journaled = rows(empty.dsn, ALL), sorted(journal_of(empty.dsn))
    async with living(empty):
        await orders.say(ids[0], Ordered(note="3"))
        await until(lambda: "3" in notes_of(empty.dsn))

    assert left in ([([], []), (whole, [(1,)])])  # all or nothing, and it is known
    assert (brought, journaled, rows(empty.dsn, UNENDED)) == (whole, shown, [])
    assert rows(empty.dsn, ALL)[: len(whole)] == whole
    assert notes_of(empty.dsn)[18:] == ["3"]
    assert sorted(parked(empty.dsn)) == sorted(parked(setup.dsn))
    assert sorted(errand.aggregate_id for errand in WORLD.errands) == sorted(ids)


async def died(setup: Setup, step: str) -> int:
    """How a process ended that restored."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.restoring", setup.as_json(), step, cwd=MEMBER
    )
    return await process.wait()


@asynccontextmanager
async def living(setup: Setup) -> AsyncIterator[None]:
    nobody = AsyncConnectionPool(setup.dsn, open=False)
    outside = Outside(PooledReads(setup.dsn), Vault(nobody, bytes(32)))
    outbound = Outbound(Sample(setup.run), setup.dsn, outside, setup.clock.now, "1")
    async with running(setup.relay()), running(setup.worker()), running(outbound):
        yield


def all_published(setup: Setup) -> bool:
    unpublished = "SELECT FROM parking WHERE state = 'dead' AND NOT is_published"
    heads = "SELECT (SELECT max(position) FROM events) = (SELECT position FROM relay)"
    errands = "SELECT FROM errands"
    return rows(setup.dsn, heads) == [(True,)] and not rows(setup.dsn, unpublished) + rows(
        setup.dsn, errands
    )


def dead(setup: Setup) -> list[int]:
    return [row[0] for row in rows(setup.dsn, "SELECT id FROM parking WHERE state = 'dead'")]


async def redriven(setup: Setup, letter: int) -> None:
    reads = PooledReads(setup.dsn)
    await reads.open()
    with suppress(LetterClosed):  # it is dead while its last try is under way, which succeeded
        await DeadLetters(reads).redrive(letter)
    await reads.close()
