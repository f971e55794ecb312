"""Each service in turn gets a new process under load, and no caller notices."""

import pytest

from chassis.testing.chaos import Chaos

from .ledger import assert_whole
from .load import under_load
from .story import Story

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]


def test_no_request_fails(story: Story, chaos: Chaos) -> None:
    services = list(story.platform.services)

    with under_load(story, chaos, writers=8) as load:
        for name in services * chaos.restarts:
            story.platform.restart_service(name)
            load.goes_on(20, name)

    assert load.told.lost == load.told.unavailable == []
    assert_whole(story, load)
