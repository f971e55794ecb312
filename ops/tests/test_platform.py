"""A whole platform of its own: up, watched, hurt, down and up again."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result

from ops import ports, processes
from ops.failures import OpsError
from ops.local import wait_for
from ops.loopback import HTTP
from ops.main import cli
from ops.platform import Platform
from ops.registry import SERVICES
from ops.settings import CHECKOUT
from ops.testing import own_platform

pytestmark = pytest.mark.timeout(300)  # four services start and stop on two busy cores


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    with own_platform() as platform:
        yield platform


def prm(platform: Platform, *arguments: str) -> Result:
    return CliRunner(env={"PRM_HOME": str(platform.home)}).invoke(cli, arguments)


def test_status_names_every_service_ready_and_the_backends(platform: Platform) -> None:
    shown = prm(platform, "status", "--json")

    document = json.loads(shown.output)
    assert shown.exit_code == 0
    assert document["kafka"] == {"bootstrap": platform.backends.kafka.address}
    assert document["postgres"] == {"dsn": platform.backends.postgres.address}
    assert {name: it["url"] for name, it in document["services"].items()} == platform.state.urls
    assert all(it["ready"] and isinstance(it["lag"], int) for it in document["services"].values())


def test_a_token_of_the_operators_opens_what_the_operator_may_see(platform: Platform) -> None:
    shown = prm(platform, "token", "--role", "platform-operator")

    headers = {"Authorization": f"Bearer {shown.output.strip()}"}
    for url in platform.state.urls.values():
        assert HTTP.get(f"{url}/ops/state", headers=headers).is_success


def test_every_service_shows_the_same_metrics_and_no_other_than_documented(
    platform: Platform,
) -> None:
    shown = [HTTP.get(f"{url}/metrics").text for url in platform.state.urls.values()]

    names = [
        {
            line.split()[2].removesuffix("_total")
            for line in text.splitlines()
            if "# TYPE prm" in line
        }
        for text in shown
    ]
    assert names[0] == names[1] == names[2] == names[3]
    page = (CHECKOUT / "docs" / "metrics.md").read_text()
    assert names[0] == {it.removesuffix("_total") for it in re.findall(r"\| `(prm\w+)`", page)}


def test_a_services_role_in_the_database_is_neither_owner_nor_superuser(platform: Platform) -> None:
    dsn = platform.state.addresses["deal-svc"].database_dsn

    with psycopg.connect(dsn) as connection:
        role = connection.execute(
            "SELECT rolsuper, rolbypassrls, rolcreatedb, rolcreaterole,"
            " EXISTS (SELECT FROM pg_tables WHERE tableowner = current_user)"
            " FROM pg_roles WHERE rolname = current_user"
        ).fetchone()

    assert role == (False, False, False, False, False)


def test_a_killed_service_is_told_and_comes_back_where_it_was(platform: Platform) -> None:
    url = platform.url("notify-svc")

    platform.kill_service("notify-svc")
    hurt = prm(platform, "status")
    platform.start_service("notify-svc")

    assert hurt.exit_code == 1
    assert "not running" in hurt.output
    assert platform.url("notify-svc") == url
    assert platform.status()["notify-svc"].ready


def test_services_outlive_the_broker_and_are_ready_again_with_it(platform: Platform) -> None:
    def all_ready() -> bool:
        return all(it.ready for it in platform.status().values())

    platform.backends.kafka.stop()
    noticed = wait_for(lambda: not all_ready(), 30)
    platform.backends.kafka.start()

    assert noticed
    assert wait_for(all_ready, 60)


def test_the_story_clock_moves_all_services_together(platform: Platform) -> None:
    shown = prm(platform, "clock", "advance", "31d")

    assert shown.exit_code == 0, shown.output
    in_30_days = datetime.now(UTC) + timedelta(days=30)
    for name in platform.services:
        assert datetime.fromisoformat(platform.client.state_of(name)["now"]) > in_30_days


def test_there_are_no_dead_letters_in_a_healthy_platform(platform: Platform) -> None:
    shown = prm(platform, "dlq", "list")

    assert (shown.exit_code, shown.output.strip()) == (0, "None.")


def test_down_ends_every_process_and_up_goes_on_with_the_same_data(platform: Platform) -> None:
    secrets = platform.state.secrets
    head = platform.client.state_of("partner-svc")["head"]

    platform.down()
    stopped = json.loads(prm(platform, "status", "--json").output)
    platform.up()

    assert not any(it["ready"] for it in stopped["services"].values())
    assert stopped["kafka"] == {"bootstrap": None}
    assert stopped["postgres"] == {"dsn": None}
    assert platform.state.secrets == secrets
    assert platform.client.state_of("partner-svc")["head"] >= head > 0


def test_up_beside_a_running_platform_changes_nothing(platform: Platform) -> None:
    before = [(it.home / "pid").read_text() for it in platform.services.values()]

    platform.up()

    assert [(it.home / "pid").read_text() for it in platform.services.values()] == before


def test_a_restarted_service_is_a_new_process_at_the_same_address(platform: Platform) -> None:
    process, url = platform.services["notify-svc"], platform.url("notify-svc")
    before = processes.recall(process.home / "pid")

    shown = prm(platform, "restart", "notify-svc")

    assert shown.exit_code == 0, shown.output
    assert before
    assert not before.is_alive()
    assert platform.url("notify-svc") == url
    assert platform.status()["notify-svc"].ready


def test_a_new_process_that_cannot_start_leaves_the_old_one_at_work(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = platform.services["notify-svc"]
    before = processes.recall(process.home / "pid")
    monkeypatch.setattr(platform.state, "secrets", replace(platform.state.secrets, token_key="?"))

    with pytest.raises(OpsError, match=r"the old one goes on[\s\S]*PRM_TOKEN_KEY"):
        platform.restart_service("notify-svc")

    assert processes.recall(process.home / "pid") == before
    assert platform.status()["notify-svc"].ready


def test_one_of_two_ups_at_once_brings_a_second_platform_up_beside_the_first(
    platform: Platform, tmp_path: Path
) -> None:
    second = {"PRM_HOME": str(tmp_path), "PRM_BACKEND": "process"}
    second["PRM_PORT_OFFSET"] = str(offset_of_free_ports())
    try:
        outcomes = up_at_once(second)
        again = CliRunner(env=second).invoke(cli, ("up",))
        both = [prm(platform, "status"), CliRunner(env=second).invoke(cli, ("status",))]
    finally:
        CliRunner(env=second).invoke(cli, ("clean",))

    assert sorted(code for code, _ in outcomes) == [0, 1]
    assert any("Another command is changing" in said for _, said in outcomes)
    assert again.exit_code == 0, again.output
    assert [shown.exit_code for shown in both] == [0, 0], [shown.output for shown in both]


def offset_of_free_ports() -> int:
    """So that the ports of all services are free."""
    while True:
        offset = ports.any_free() - SERVICES[0].port
        if all(ports.is_free(each.port + offset) for each in SERVICES):
            return offset


def up_at_once(environment: dict[str, str]) -> list[tuple[int, str]]:
    """Exit code and output of two commands that begin at the same moment."""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", "from ops.main import cli; cli()", "up"],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(2)
    ]
    said = [each.communicate(timeout=240)[0] for each in running]
    return [(each.returncode, text) for each, text in zip(running, said, strict=True)]
