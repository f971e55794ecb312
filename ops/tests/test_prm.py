"""The command line where no platform runs: what it says, and what it leaves alone."""

import io
import json
import socket
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ops import registry
from ops.failures import OpsError
from ops.local import wait_for
from ops.main import cli
from ops.platform import Platform
from ops.progress import Progress, told
from ops.service_process import ServiceProcess
from ops.settings import Settings
from ops.show import without_password
from ops.state import Addresses, State


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def prm(home: Path, *arguments: str, **environment: str) -> Result:
    return CliRunner(env={"PRM_HOME": str(home), **environment}).invoke(cli, arguments)


def test_status_of_nothing_is_exit_code_1_and_names_every_service(home: Path) -> None:
    shown = prm(home, "status", "--json")

    document = json.loads(shown.output)
    assert shown.exit_code == 1
    assert set(document) == {"services", "kafka", "postgres"}
    assert set(document["services"]) == {"partner-svc", "deal-svc", "territory-svc", "notify-svc"}
    assert document["services"]["deal-svc"] == {"url": None, "ready": False, "lag": None}
    assert not home.exists()


def test_status_for_people_says_that_nothing_runs(home: Path) -> None:
    shown = prm(home, "status")

    assert shown.exit_code == 1
    assert shown.output.count("not running") == len(registry.SERVICES)


@pytest.mark.parametrize(
    "command",
    [
        ("token", "--role", "platform-operator"),
        ("clock", "show"),
        ("dlq", "list"),
        ("mail", "failed"),
        ("rebuild", "deal-svc", "deal_list"),
    ],
)
def test_what_needs_a_running_platform_says_how_to_start_one(
    home: Path, command: tuple[str, ...]
) -> None:
    shown = prm(home, *command)

    assert shown.exit_code == 1
    assert "make up" in shown.output


def test_a_partners_role_needs_the_partner(home: Path) -> None:
    shown = prm(home, "token", "--role", "partner-seller")

    assert shown.exit_code != 0
    assert "--partner ID" in shown.output


@pytest.mark.parametrize("of", [[], ["--models"]])
def test_what_cannot_be_verified_is_neither_healthy_nor_not(home: Path, of: list[str]) -> None:
    shown = prm(home, "verify", "deal-svc", *of)

    assert shown.exit_code == 2
    assert "up" in shown.output


@pytest.mark.parametrize(
    ("name", "value"), [("PRM_BACKEND", "podman"), ("PRM_PORT_OFFSET", "many")]
)
def test_a_setting_that_means_nothing_is_named(home: Path, name: str, value: str) -> None:
    shown = prm(home, "status", **{name: value})

    assert shown.exit_code == 1
    assert f"{name} is {value}" in shown.output


def test_occupied_ports_are_named_with_their_holder_before_anything_starts(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        offset = holder.getsockname()[1] - registry.ISSUER.port

        shown = prm(home, "up", PRM_PORT_OFFSET=str(offset))

    assert shown.exit_code == 1
    assert "partner-svc needs port" in shown.output
    assert "process " in shown.output
    assert "PRM_PORT_OFFSET" in shown.output
    assert {entry.name for entry in home.iterdir()} == {"lock"}  # nothing was begun


def test_secrets_are_made_once_and_only_their_owner_reads_them(home: Path) -> None:
    State().write(home)
    first = State.read(home)
    assert first

    first.write(home)

    assert State.read(home) == first
    assert stat.S_IMODE((home / "state.json").stat().st_mode) == 0o600


def test_clean_removes_only_what_it_made(home: Path) -> None:
    State().write(home)
    (home / "kafka").mkdir()
    (home / "mine.txt").write_text("kept")

    shown = prm(home, "clean")

    assert shown.exit_code == 0
    assert {entry.name for entry in home.iterdir()} == {"mine.txt", "lock"}


def test_clean_keeps_the_secrets_of_data_that_lie_elsewhere(home: Path) -> None:
    State(postgres="postgresql://somewhere/else").write(home)

    shown = prm(home, "clean")

    assert "secrets" in shown.output
    assert State.read(home)


def test_a_service_that_ends_at_start_shows_its_last_log_lines(home: Path) -> None:
    service = registry.Service("missing-svc", 1)
    state = State(urls={registry.ISSUER.name: "http://127.0.0.1:1"})
    state.addresses["missing-svc"] = Addresses("", "")
    process = ServiceProcess(service, home / "missing-svc", state, None, bound=True)

    with pytest.raises(OpsError, match=r"missing-svc ended[\s\S]*No module named 'missing_svc'"):
        process.start()


def test_two_commands_do_not_change_a_home_at_once(home: Path) -> None:
    platform = Platform(Settings(home))

    with platform.alone(), pytest.raises(OpsError, match="Another command"):
        platform.down()


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        (
            "postgresql://postgres:s3cr-et@127.0.0.1:5432/x",
            "postgresql://postgres:***@127.0.0.1:5432/x",
        ),
        ("host=there password=s3cr-et dbname=x", "host=there password=*** dbname=x"),
    ],
)
def test_the_password_of_the_database_is_not_shown_to_people(dsn: str, shown: str) -> None:
    assert without_password(dsn) == shown


@pytest.mark.parametrize("command", ["verify", "restore"])
def test_what_never_ran_can_neither_be_verified_nor_restored(home: Path, command: str) -> None:
    shown = prm(home, command, "deal-svc")

    assert shown.exit_code == {"verify": 2, "restore": 1}[command]
    assert "prm up" in shown.output


def test_a_record_that_is_disowned_is_named_by_its_place(home: Path) -> None:
    shown = prm(home, "restore", "deal-svc", "--foreign", "prm.deals/3")

    assert shown.exit_code == 2
    assert "prm.deals/3/1207" in shown.output


def test_progress_tells_rate_and_time_left() -> None:
    shown = told("facts", 512_000, 1_000_000, 9_760.0)

    assert shown == "facts: 512,000 of 1,000,000 (51 %), 9,760 a second, 50 s left"
    assert told("facts", 0, 0, 0.0) == "facts: 0 of 0 (-), 0 a second"


def test_on_a_terminal_progress_is_one_line_that_goes_away() -> None:
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    progress = Progress("facts", terminal)

    def is_told() -> bool:
        progress(5, 10)
        return bool(terminal.getvalue())

    assert wait_for(is_told, 5)
    progress.end()

    assert "facts: 5 of 10 (50 %)" in terminal.getvalue()
    assert terminal.getvalue().endswith(" \r")
