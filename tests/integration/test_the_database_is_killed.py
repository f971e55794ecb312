"""kill -9 of the database under load: what was acknowledged is there, and services go on alone."""

from threading import Event

import pytest

from chassis.testing.chaos import Chaos
from ops.local import LocalServer
from ops.processes import recall

from .ledger import assert_whole
from .load import under_load
from .story import Story

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]


def test_acknowledged_commands_survive_and_services_recover_without_a_restart(
    story: Story, chaos: Chaos
) -> None:
    postgres = story.platform.backends.postgres
    assert isinstance(postgres, LocalServer), "a database given by address is not ours to kill"
    before = processes(story)

    with under_load(story, chaos) as load:
        postgres.kill()
        Event().wait(chaos.outage)
        postgres.start()
        load.goes_on(5, *story.platform.services)

    assert_whole(story, load)
    assert load.told.unavailable
    assert processes(story) == before


def processes(story: Story) -> list[object]:
    """As they were started."""
    return [recall(each.home / "pid") for each in story.platform.services.values()]
