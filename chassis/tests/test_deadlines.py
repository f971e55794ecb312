"""Deadlines fire once, in order, and not after they were moved."""

from datetime import timedelta
from uuid import uuid4

from psycopg.pq import TransactionStatus

from chassis.consuming.deadlines import AT_ONCE, Deadlines

from .parked import rows
from .reactions import Ordered, Sample, Setup, Stranger, ended, notes_of, running, until


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


async def test_late_deadlines_fire_in_the_order_of_their_instants_some_at_a_time(
    setup: Setup, orders: Stranger
) -> None:
    now = setup.clock.now()
    late = [uuid4() for _ in range(2 * AT_ONCE + 20)]
    days = {order: 1 + (7 * place) % len(late) for place, order in enumerate(late)}

    async with running(setup.worker()):
        for order in late:
            await orders.say(order, Ordered(due_at=now + timedelta(days=days[order])))
        await until(lambda: len(notes_of(setup.dsn)) == len(late))
        setup.clock.at += timedelta(days=400)
        await until(lambda: len(due_fired(setup.dsn)) == len(late))

    in_order = [now + timedelta(days=day) for day in sorted(days.values())]
    assert due_fired(setup.dsn) == [f"due {due_at:%d.%m.}" for due_at in in_order]
    assert max(in_one_transaction(setup.dsn)) == AT_ONCE


async def test_a_look_at_what_is_due_leaves_no_transaction_open(setup: Setup) -> None:
    """The server ends a session that is idle in one."""
    worker = setup.worker()
    deadlines = Deadlines(worker.house, Sample(setup.run).deadlines)
    sessions = worker.committer.sessions

    for _ in ("the first of a life", "another"):
        async with sessions.transaction() as connection:
            assert await deadlines.fire(connection, setup.clock.now()) == 0
        assert connection.info.transaction_status == TransactionStatus.IDLE
    await ended(worker)


def in_one_transaction(dsn: str) -> list[int]:
    """How many deadlines each transaction fired."""
    counted = "SELECT count(*) FROM deadlines WHERE fired_at IS NOT NULL GROUP BY xmin::text"
    return [count for (count,) in rows(dsn, counted)]
