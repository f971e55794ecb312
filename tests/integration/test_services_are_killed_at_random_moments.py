"""kill -9 of each service again and again under all that people do: nothing is lost or doubled."""

from threading import Event

import pytest

from chassis.testing.chaos import Chaos

from .ledger import assert_whole
from .load import under_load
from .mix import Everybody, followers
from .story import Story

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]


def test_nothing_is_lost_or_doubled(story: Story, chaos: Chaos) -> None:
    chance, services = chaos.chance("moments"), story.platform.services
    partners = story.partners(3)

    with followers(story, partners) as live:
        with under_load(story, chaos, partners=partners, writer=Everybody) as load:
            for victim in chaos.victims(list(services)):
                Event().wait(chance.uniform(0.1, 3.0))  # starting, idle, at work: whatever it does
                story.platform.kill_service(victim)
                services[victim].begin()
            for process in services.values():
                process.wait_until_ready()
            load.goes_on(5, *services)

        assert_whole(story, load)
        assert [wrong for each in live for wrong in each.wrong()] == []
    assert load.told.lost, "no kill was noticed by any caller"
    assert any(each.broken for each in live), "no kill was noticed by any follower"
