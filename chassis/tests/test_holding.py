"""A decision that came before what it rests on waits for it."""

from datetime import timedelta
from uuid import uuid4

from prm_contracts.facts import Basis

from .parked import parked, rows
from .reactions import Ordered, OrderNamed, Sample, Setup, Stranger, notes_of, running, until


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


async def test_while_it_is_tried_it_is_still_said_to_be_held(
    setup: Setup, orders: Stranger, named: Stranger
) -> None:
    """A question that waits for it meanwhile would else be told of a failure."""
    name = uuid4()
    basis = Basis(topic=Sample(setup.run).names.name, aggregate_id=name, version=1)

    async with running(setup.worker()):
        await orders.say(uuid4(), Ordered(note="slow", based_on=(basis,)))
        await until(lambda: parked(setup.dsn))
        await named.say(name, OrderNamed(name="x"))
        await until(lambda: rows(setup.dsn, "SELECT FROM parking WHERE is_trying"))
        meanwhile = parked(setup.dsn)

    assert meanwhile == [("policies", "held", "waiting")]


async def test_a_decision_resting_on_what_this_service_does_not_read_is_not_held(
    setup: Setup, orders: Stranger
) -> None:
    basis = Basis(topic="prm.elsewhere", aggregate_id=uuid4(), version=3)
    await orders.say(uuid4(), Ordered(note="based", based_on=(basis,)))

    async with running(setup.worker()):
        await until(lambda: notes_of(setup.dsn) == ["based"])

    assert parked(setup.dsn) == []
