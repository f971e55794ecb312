"""kill -9 at every step of a rebuild: the tables in use stay whole, and the next one completes."""

import os
import signal
from uuid import uuid4

import pytest

from chassis.testing import a_command, event_store
from chassis.testing.chaos import Chaos

from .listings import (
    COUNTS,
    OF_TOPICS,
    STEPS,
    Listing,
    counting,
    died_at,
    levelled,
    ordered,
    tally_twice,
    under_load,
)
from .reactions import Stranger, running, until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

DEATHS = 3  # at one step, one after the other
STEPS_BY_CHANCE = 3  # of one short story


async def assert_nothing_of_it_is_seen(listing: Listing, steps: list[str]) -> None:
    """A death at each of the steps, then a rebuild that lives; the worker goes on meanwhile."""
    made_of = listing.made_of()
    async with running(listing.worker()):
        await until(lambda: listing.rows(COUNTS)[0][0] >= 20, within=90)
        async with counting(listing) as seen:
            for step in steps:
                assert await died_at(listing, step) == -signal.SIGKILL, step
                before = listing.tracked()
                await until(lambda: listing.tracked() > before)  # noqa: B023 - in this turn
            assert (await listing.rebuild()).is_equal
    assert seen == sorted(seen)
    assert seen[0] > 0
    assert listing.rows(COUNTS)[0][1]
    assert (await listing.verify()).is_equal
    assert listing.made_of() == made_of
    assert listing.leftovers() == []


async def test_deaths_of_rebuilds_at_steps_by_chance(
    listing: Listing, orders: Stranger, chaos: Chaos
) -> None:
    steps = chaos.chance("steps of a rebuild").sample(sorted(STEPS), STEPS_BY_CHANCE)
    print(steps)  # noqa: T201 - shown when it fails

    async with under_load(orders):
        await assert_nothing_of_it_is_seen(listing, steps)


async def test_what_a_dead_rebuild_leaves_is_cleared_away_by_the_next_one(
    listing: Listing, orders: Stranger
) -> None:
    await orders.say(uuid4(), *ordered(3))
    await levelled(listing, 3)
    before = listing.rows("SELECT * FROM order_list")

    assert await died_at(listing, "between swap and commit") == -signal.SIGKILL

    assert listing.rows("SELECT * FROM order_list") == before
    assert listing.rows("SELECT version FROM rebuild_order_list.order_list") == [(3,)]
    verdict = await listing.rebuild()
    assert verdict.is_equal
    assert verdict.facts == 3  # it began at the beginning
    assert listing.leftovers() == []
    assert listing.rows("SELECT * FROM order_list") == before


@pytest.mark.skipif("PRM_CHAOS" not in os.environ, reason="minutes: make chaos")
@pytest.mark.parametrize("step", STEPS)
async def test_death_after_death_of_rebuilds_at_one_step(
    listing: Listing, orders: Stranger, step: str
) -> None:
    async with under_load(orders):
        await assert_nothing_of_it_is_seen(listing, [step] * DEATHS)


@pytest.mark.skipif("PRM_CHAOS" not in os.environ, reason="minutes: make chaos")
@pytest.mark.parametrize("step", sorted(STEPS.keys() - OF_TOPICS))
async def test_commands_go_on_after_a_death_between_two_tables_that_are_kept_with_the_append(
    listing: Listing, step: str
) -> None:
    async with event_store(listing.dsn) as events:
        for done in range(1, DEATHS + 1):
            await events.execute(tally_twice, a_command())

            assert await died_at(listing, step, "tallied") == -signal.SIGKILL

            assert listing.rows("SELECT facts FROM all_tallied") == [(2 * done,)]
        await events.execute(tally_twice, a_command())
    assert (await listing.rebuild("tallied")).is_equal
    assert listing.rows("SELECT facts FROM all_tallied") == [(2 * DEATHS + 2,)]
    assert listing.leftovers() == []
