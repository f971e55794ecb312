"""The promises of the delivery, on a real broker and a real database."""

from uuid import uuid4

from .reactions import Ordered, Setup, Stranger, journal_of, notes_of, running, until


async def test_each_fact_reaches_policies_and_read_models_in_its_order(
    setup: Setup, orders: Stranger
) -> None:
    order = uuid4()
    await orders.say(order, *(Ordered(note=str(n)) for n in range(5)))

    async with running(setup.worker()):
        await until(lambda: len(notes_of(setup.dsn)) == 5)

    assert notes_of(setup.dsn, order) == journal_of(setup.dsn, order) == ["0", "1", "2", "3", "4"]
