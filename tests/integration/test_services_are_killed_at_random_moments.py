"""kill -9 of each service again and again while commands come in: nothing is lost or doubled."""

from threading import Event

import pytest

from chassis.testing.chaos import Chaos

from .ledger import assert_whole
from .load import under_load
from .story import Story

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]


def test_nothing_is_lost_or_doubled(story: Story, chaos: Chaos) -> None:
    chance, services = chaos.chance("moments"), story.platform.services

    with under_load(story, chaos) as load:
        for victim in chaos.victims(list(services)):
            Event().wait(chance.uniform(0.1, 3.0))  # starting, idle, at work: whatever it does now
            story.platform.kill_service(victim)
            services[victim].begin()
        for process in services.values():
            process.wait_until_ready()
        load.goes_on(5, *services)

    assert_whole(story, load)
    assert load.told.lost, "no kill was noticed by any caller"
