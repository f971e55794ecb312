"""Deadlines fire once, in order, and not after they were moved."""

from datetime import timedelta
from uuid import uuid4

from .reactions import Ordered, Setup, Stranger, notes_of, running, until


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
