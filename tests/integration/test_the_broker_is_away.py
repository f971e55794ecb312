"""Commands go on without a broker; when it is back, everything leaves and has its effect, once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from threading import Event

import pytest

from chassis.testing.chaos import Chaos

from .ledger import assert_whole
from .load import under_load
from .story import Story, eventually

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]


def stopped(story: Story) -> AbstractContextManager[None]:
    return story.stopped_broker()


def frozen(story: Story) -> AbstractContextManager[None]:
    return story.frozen_broker()


@pytest.mark.parametrize("away", [stopped, frozen])
def test_commands_go_on_and_the_backlog_drains(
    story: Story, chaos: Chaos, away: Callable[[Story], AbstractContextManager[None]]
) -> None:
    with under_load(story, chaos) as load:
        with away(story):
            before = load.accepted("deal-svc")
            Event().wait(chaos.outage)
            assert load.accepted("deal-svc") > before + chaos.outage
            assert load.told.lost == load.told.unavailable == []
        load.goes_on(5, *story.platform.services)

    assert_whole(story, load)


def test_services_start_without_a_broker_and_take_commands(story: Story, chaos: Chaos) -> None:
    services, partners = story.platform.services, story.partners(3)
    with story.stopped_broker():
        with ThreadPoolExecutor() as pool:
            assert all(pool.map(lambda it: it.stop(), services.values())), "one had to be killed"
        for process in services.values():
            process.begin()
        eventually(lambda: lacks_nothing_but_a_broker(story), what="reasons")

        with under_load(story, chaos, partners=partners) as load:
            load.goes_on(10, "partner-svc", "territory-svc")

    for process in services.values():
        process.wait_until_ready()
    assert_whole(story, load)


def lacks_nothing_but_a_broker(story: Story) -> bool:
    """By what each service says; the issuer's keys come a moment after its start."""
    told = ["; ".join(each.readiness()[1]) for each in story.platform.services.values()]
    return all("broker" in said and "issuer" not in said for said in told)
