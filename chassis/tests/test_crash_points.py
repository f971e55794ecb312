"""kill -9 at every step between request and read model: nothing acknowledged is lost or doubled."""

import os
import signal
from contextlib import AbstractContextManager

import pytest

from chassis.testing.chaos import Chaos
from chassis.testing.topics import Topics
from ops.ports import any_free

from .counters import COUNTERS
from .crashing import STEPS
from .deployed import Deployment, Program, SampleProcess, started
from .steady import Operator, assert_whole, calling, until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

DIED_WITHIN = 60.0  # seconds; it has to start and to join its group first
DEATHS = 3  # at one step, one after the other
STEPS_BY_CHANCE = 3  # of one short story
FAILS = {"SAMPLE_FAILS": "1"}
OF_PARKING = {"while parking", "once it is parked"}
OF_RETRIES = {"while what was parked is tried again", "between a retry and its release"}
OF_LETTERS = {"between a dead letter and its mark"}
# More would wait for minutes: each death in a retry counts as a try.
MOST_DEATHS = dict.fromkeys(OF_RETRIES, 2)


class Deaths:
    """Lives of one service at one port, under load; each ends at a step."""

    def __init__(self, deployment: Deployment, topics: Topics, chaos: Chaos) -> None:
        self.deployment, self.topics, self.chaos = deployment, topics, chaos
        self.port = str(any_free())
        self.url = f"http://127.0.0.1:{self.port}"

    def prepare(self, step: str) -> None:
        """What the step needs to be reached."""
        if step in OF_RETRIES:
            program = Program("tests.crashing", FAILS)
            with started(self.deployment, program, service_port=self.port) as process:
                process.until_answers("/readyz", 200)
                assert until(lambda: Operator(process).letters("waiting"), DIED_WITHIN)
        if step in OF_LETTERS:
            self.topics.write(COUNTERS.name, b"nobody's", b"{", {"x": "y"})

    def die(self, step: str, count: int) -> None:
        """A life that ends at the `count`-th time that it comes to the step."""
        plan = {"SAMPLE_DIES_AT": f"{step}:{count}"} | (FAILS if step in OF_PARKING else {})
        program = Program("tests.crashing", plan)
        with started(self.deployment, program, service_port=self.port) as process:
            code, said = process.waited_for(DIED_WITHIN)
        assert code == -signal.SIGKILL, said

    def live_on(self) -> AbstractContextManager[SampleProcess]:
        return started(self.deployment, Program("tests.crashing"), service_port=self.port)


def times(step: str, chaos: Chaos) -> int:
    """At which of its visits to the step it dies: some come once in a life."""
    is_rare = step in OF_PARKING | OF_RETRIES | OF_LETTERS
    return 1 if is_rare else chaos.chance(step).randint(1, 4)


def assert_nothing_lost(deaths: Deaths, steps: list[str]) -> None:
    """One death at each of the steps, then a life that goes on."""
    with calling(deaths.url, deaths.chaos) as callers:
        for step in steps:
            deaths.prepare(step)
            deaths.die(step, times(step, deaths.chaos))
        with deaths.live_on() as process:
            callers.go_on()
            callers.end()
            assert_whole(process, deaths.topics, callers)
    assert callers.lost, "no death was noticed by any caller"


def test_deaths_at_steps_by_chance(deployment: Deployment, topics: Topics, chaos: Chaos) -> None:
    steps = chaos.chance("steps").sample(sorted(STEPS), STEPS_BY_CHANCE)
    print(steps)  # noqa: T201 - shown when it fails

    assert_nothing_lost(Deaths(deployment, topics, chaos), steps)


@pytest.mark.skipif("PRM_CHAOS" not in os.environ, reason="minutes: make chaos")
@pytest.mark.parametrize("step", STEPS)
def test_death_after_death_at_one_step(
    deployment: Deployment, topics: Topics, chaos: Chaos, step: str
) -> None:
    assert_nothing_lost(Deaths(deployment, topics, chaos), [step] * DEATHS)
