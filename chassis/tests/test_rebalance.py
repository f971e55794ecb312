"""Workers come, freeze, wake up and go under load: no effect is lost or doubled."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg
import pytest

from chassis.publishing.relay import LEADER
from chassis.testing.chaos import Chaos
from chassis.testing.topics import Topics
from ops.testing import own_backends

from .counters import COUNTERS
from .deployed import Deployment, Program, SampleProcess, deployed, started
from .steady import Operator, assert_whole, calling, wrong_in_answers, wrong_in_effects

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.timeout(300),
    pytest.mark.skipif("PRM_CHAOS" not in os.environ, reason="minutes: make chaos"),
]
LED_WITHIN = 10.0  # seconds; the server waits three of them for a silent leader
FROZEN = 15.0  # seconds: longer than a member of the group may be silent


@contextmanager
def frozen(process: SampleProcess) -> Iterator[None]:
    process.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.process.send_signal(signal.SIGCONT)


def leaders(deployment: Deployment) -> list[int]:
    """Server processes of the sessions that hold a relay's leadership."""
    with psycopg.connect(deployment.addresses.database_dsn) as connection:
        found = connection.execute(
            "SELECT pid FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database"
            " WHERE locktype = 'advisory' AND objid = %s AND granted"
            " AND datname = current_database()",
            (LEADER,),
        )
        return [row[0] for row in found.fetchall()]


def test_from_one_worker_to_three_and_back(
    deployment: Deployment, topics: Topics, chaos: Chaos
) -> None:
    program = Program("tests.crashing")
    with ExitStack() as running:
        leader = running.enter_context(started(deployment, program))
        leader.until_answers("/readyz", 200)
        [first] = leaders(deployment)
        second = running.enter_context(started(deployment, program, instance="2"))
        third = running.enter_context(started(deployment, program, instance="3"))
        second.until_answers("/readyz", 200)
        with calling(second.url, chaos) as callers:
            callers.go_on(50)
            third.until_answers("/readyz", 200)
            callers.go_on(50)
            with frozen(leader):
                began_at = time.monotonic()
                while leaders(deployment) in ([], [first]):
                    assert time.monotonic() < began_at + LED_WITHIN, "nobody else leads"
                    time.sleep(0.05)
                print(f"another leads {time.monotonic() - began_at:.1f} s later")  # noqa: T201
                callers.ended.wait(FROZEN)
            with frozen(third):
                callers.ended.wait(FROZEN)
            callers.go_on(50)
            for each in (third, leader):
                code, said = each.ended()
                assert code == 0, said
            callers.go_on(50)
            callers.end()
            assert callers.unavailable == callers.lost == []
            assert_whole(second, topics, callers)
        assert Operator(second).ask("GET", "/state").json()["ready"]


def test_workers_that_trust_their_group_alone_double_what_one_of_them_took(chaos: Chaos) -> None:
    """Without tracking, versions and derived ids: the checks above can fail. A broker of its own:
    nobody else's checks read what is doubled here.
    """
    program = Program("tests.naive")
    with ExitStack() as running:
        backends = running.enter_context(own_backends())
        where = backends.postgres.start(), backends.kafka.start()
        deployment = running.enter_context(deployed(*where))
        first = running.enter_context(started(deployment, program))
        first.until_answers("/readyz", 200)
        second = running.enter_context(started(deployment, program, instance="2"))
        second.until_answers("/readyz", 200)
        with calling(second.url, chaos) as callers:
            callers.go_on(50)
            with frozen(first):
                callers.ended.wait(FROZEN)
            callers.go_on(50)
        Operator(second).settles()
        topics = Topics(deployment.bootstrap)
        facts = topics.facts(COUNTERS.name)
        topics.close()

    assert list(wrong_in_answers(callers.accepted, facts)) == []
    wrong = list(wrong_in_effects(facts))
    print(f"of {len(callers.accepted)} commands: {wrong[:3]}")  # noqa: T201
    assert wrong, "nothing was doubled: the checks were not shown a fault"
