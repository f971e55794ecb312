"""What `prm doctor` finds on a real platform that is hurt, and what it says to do about it."""

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from aiokafka import AIOKafkaProducer
from click.testing import CliRunner

from chassis.running.admin import owned
from ops import clock, processes
from ops.apart import apart
from ops.demo.people import Person
from ops.doctor import backends
from ops.doctor.services import remedy, span
from ops.local import wait_for
from ops.main import cli
from ops.platform import Platform
from ops.testing import own_platform

pytestmark = pytest.mark.timeout(300)  # services, broker and database stop and start
LATE = (
    "INSERT INTO deadlines (rule, aggregate_id, version, due_at)"
    " VALUES ('nobodys', gen_random_uuid(), 1, now() - interval '3 hours')"
)
SET_BACK = """
CREATE TABLE set_aside AS SELECT * FROM events ORDER BY position DESC LIMIT 1;
DELETE FROM events USING set_aside WHERE events.position = set_aside.position;
UPDATE relay SET position = position - 1"""
BROUGHT_BACK = """
INSERT INTO events SELECT * FROM set_aside;
UPDATE relay SET position = position + 1;
DROP TABLE set_aside"""
PROFILE: dict[str, Any] = {
    "legal_name": "Alpha Systemhaus GmbH",
    "country": "DE",
    "types": ["reseller"],
    "currency": "EUR",
    "time_zone": "Europe/Berlin",
}


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    with own_platform() as platform:
        yield platform


def examined(home: Path) -> tuple[int, dict[str, list[dict[str, str]]]]:
    """Exit code, and what was found by area."""
    shown = CliRunner(env={"PRM_HOME": str(home)}).invoke(cli, ["doctor", "--json"])
    document: dict[str, Any] = json.loads(shown.output)
    assert document["healthy"] is (shown.exit_code == 0)
    return shown.exit_code, {area["name"]: area["findings"] for area in document["areas"]}


def healthy(platform: Platform) -> None:
    assert wait_for(lambda: examined(platform.home)[0] == 0, 60), examined(platform.home)


@contextmanager
def then_healthy(platform: Platform) -> Iterator[None]:
    yield
    healthy(platform)


def found(platform: Platform, area: str, what: str) -> dict[str, str]:
    """The finding of the area that says so, once it is there."""
    end = time.monotonic() + 40
    while True:
        code, areas = examined(platform.home)
        for finding in areas[area]:
            if what in finding["what"]:
                assert code == 1
                return finding
        assert time.monotonic() < end, [it["what"] for it in areas[area]]


def test_of_a_healthy_platform_one_line_an_area_is_said(platform: Platform) -> None:
    healthy(platform)

    shown = CliRunner(env={"PRM_HOME": str(platform.home)}).invoke(cli, ["doctor"])

    areas = [line.split(":")[0] for line in shown.output.splitlines()]
    assert shown.exit_code == 0
    assert areas == ["disk", "postgres", "kafka", *platform.services, "clock"]


def test_of_a_platform_that_never_ran_nothing_can_be_told(tmp_path: Path) -> None:
    code, areas = examined(tmp_path / "nothing")

    assert code == 2
    assert {it["severity"] for findings in areas.values() for it in findings} == {"unknown"}
    assert areas["kafka"][0]["to_do"] == "`prm up` starts everything"


def test_a_killed_service_does_not_run(platform: Platform) -> None:
    platform.kill_service("notify-svc")

    with then_healthy(platform):
        finding = found(platform, "notify-svc", "it does not run")
        platform.start_service("notify-svc")

    assert finding["severity"] == "broken"
    assert "`prm up`" in finding["to_do"]


def test_a_port_that_somebody_else_holds_is_named_with_its_holder(platform: Platform) -> None:
    port = platform.services["notify-svc"].port
    platform.kill_service("notify-svc")

    with then_healthy(platform):
        with socket.create_server(("127.0.0.1", port)):
            finding = found(platform, "notify-svc", f"its port {port} is held by process")
        platform.start_service("notify-svc")

    assert str(os.getpid()) in finding["what"]
    assert "PRM_PORT_OFFSET" in finding["to_do"]


def test_a_service_that_hangs_does_not_answer(platform: Platform) -> None:
    running = processes.recall(platform.services["notify-svc"].home / "pid")
    assert running

    with then_healthy(platform):
        os.kill(running.pid, signal.SIGSTOP)
        try:
            finding = found(platform, "notify-svc", "does not answer")
        finally:
            os.kill(running.pid, signal.SIGCONT)

    assert "`prm logs notify-svc`" in finding["to_do"]


def test_a_dead_letter_is_told_with_its_reason_and_the_way_back(platform: Platform) -> None:
    apart(poison(str(platform.state.kafka), "prm.notifications"))

    with then_healthy(platform):
        finding = found(platform, "notify-svc", "dead letter")
        [letter] = platform.client.dead_letters("notify-svc", "dead", 10)
        platform.client.dead_letter("notify-svc", str(letter["id"]), "discard")

    assert "no header" in finding["what"]
    assert finding["since"] == letter["parked_at"]
    assert f"`prm dlq discard notify-svc {letter['id']}`" in finding["to_do"]


async def poison(bootstrap: str, topic: str) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        await producer.send_and_wait(topic, b"no fact", key=b"nobody")


def test_late_deadlines_and_migrations_that_did_not_run_are_found(platform: Platform) -> None:
    dsn = owned(str(platform.state.postgres), "prm_notify_svc")
    with psycopg.connect(dsn) as owner:
        owner.execute(LATE)
        forgotten = owner.execute(
            "DELETE FROM migrations WHERE name LIKE 'notify_svc/%' RETURNING *"
        ).fetchall()

    with then_healthy(platform):
        late = found(platform, "notify-svc", "1 deadlines are late")
        migrations = found(platform, "notify-svc", "migrations have not run")
        with psycopg.connect(dsn) as owner:
            owner.execute("DELETE FROM deadlines WHERE rule = 'nobodys'")
            for row in forgotten:
                owner.execute("INSERT INTO migrations VALUES (%s, %s, %s)", row)

    assert late["since"] == "3 h"
    assert forgotten[0][0] in migrations["what"]


def test_facts_that_have_no_effect_are_found(platform: Platform) -> None:
    dsn = owned(str(platform.state.postgres), "prm_notify_svc")
    manager = Person.with_role(platform.client, "channel-account-manager", "Mara")

    with then_healthy(platform), psycopg.connect(dsn) as owner:
        owner.execute("LOCK TABLE tracking IN EXCLUSIVE MODE")  # to be read, not to be moved
        manager.tell("partner-svc", "/v1/partners", **PROFILE)
        finding = found(platform, "notify-svc", "prm.partners have had no effect")
        owner.rollback()

    assert finding["severity"] == "hampered"
    assert "`prm lag show`" in finding["to_do"]


def test_a_store_that_was_set_back_is_found(platform: Platform) -> None:
    """By its last fact, which its topic has. Nothing is put in the place of that meanwhile."""
    dsn = owned(str(platform.state.postgres), "prm_notify_svc")
    platform.client.token("channel-operations", None, "Otto")  # who is welcomed
    clock.settle(platform.client, list(platform.services))
    platform.stop_service("notify-svc")

    with then_healthy(platform):
        with psycopg.connect(dsn) as owner:
            owner.execute(SET_BACK)
        platform.services["notify-svc"].begin()  # it will not be ready
        platform.client.token("channel-operations", None, "Clara")  # whom it would welcome
        finding = found(platform, "notify-svc", "that the database lacks")
        with psycopg.connect(dsn) as owner:
            owner.execute(BROUGHT_BACK)

    assert finding["severity"] == "broken"
    assert "`prm restore notify-svc`" in finding["to_do"]


def test_a_disk_that_is_nearly_full_is_found(tmp_path: Path) -> None:
    home = tmp_path / "nothing yet"

    [full] = backends.disk(home, least=2**62).findings
    plenty = backends.disk(home, least=1)

    assert (full.severity, "stop when there is nothing left" in full.what) == ("broken", True)
    assert f"move {home}" in full.to_do
    assert plenty.findings == ()
    assert str(tmp_path) in plenty.well


def test_a_broker_that_is_away_is_found_as_the_cause(platform: Platform) -> None:
    platform.backends.kafka.stop()

    with then_healthy(platform):
        cause = found(platform, "kafka", "Kafka does not run")
        consequence = found(platform, "deal-svc", "not ready")
        platform.backends.kafka.start()

    assert "`prm up`" in cause["to_do"]
    assert "once Kafka answers" in consequence["to_do"]


def test_a_database_that_is_away_is_found_as_the_cause(platform: Platform) -> None:
    platform.backends.postgres.stop()

    with then_healthy(platform):
        cause = found(platform, "postgres", "PostgreSQL does not run")
        consequence = found(platform, "deal-svc", "not ready")
        platform.backends.postgres.start()

    assert "`prm up`" in cause["to_do"]
    assert "see above" in consequence["to_do"]


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        (
            "prm.deals/3: ends at 1, but 7 was taken; see `prm lag reset`",
            "reset deal-svc prm.deals",
        ),
        ("the issuer's keys are not known: http://127.0.0.1:1", "partner-svc"),
        ("prm.deals holds a fact that the database lacks: `prm restore x`", "restore deal-svc"),
        ("something new", "`prm logs deal-svc`"),
    ],
)
def test_for_each_reason_of_a_service_there_is_an_advice(reason: str, advice: str) -> None:
    assert advice in remedy("deal-svc", reason)


@pytest.mark.parametrize(
    ("seconds", "shown"), [(7, "7 s"), (300, "5 min"), (9000, "2 h"), (400_000, "5 d")]
)
def test_a_span_is_told_in_the_unit_that_fits(seconds: float, shown: str) -> None:
    assert span(seconds) == shown
