"""Containers or processes: what is asked, kept and possible goes in, the decision comes out."""

import socket
from pathlib import Path

import pytest

from ops import settings
from ops.backends import choose, engine, kept
from ops.backends.choice import decide
from ops.backends.containers import KafkaContainer, PostgresContainer
from ops.backends.kafka import POM, Kafka
from ops.failures import OpsError
from ops.settings import Settings
from ops.testing import own_settings


class Engine:
    """Can give containers or not, after pulling for so long; counts who asks."""

    def __init__(self, *, pulls: float | None = 0) -> None:
        self.pulls = pulls  # seconds that it takes; None: it never can
        self.asked: list[float] = []

    def obstacle(self, within: float) -> str | None:
        self.asked.append(within)
        return None if self.pulls is not None and self.pulls <= within else "nothing to be had"


def test_containers_are_taken_where_the_engine_has_the_images() -> None:
    for asked in (None, "auto", "docker"):
        assert decide(asked, None, Engine().obstacle).kind == "docker"


def test_without_containers_it_is_processes_and_the_reason_is_told() -> None:
    for asked in (None, "auto"):
        choice = decide(asked, None, Engine(pulls=None).obstacle)

        assert choice == ("process", "nothing to be had")


def test_images_are_pulled_only_for_whoever_asked_and_not_for_ever() -> None:
    assert decide(None, None, Engine(pulls=1).obstacle).kind == "process"
    assert decide("auto", None, Engine(pulls=60).obstacle).kind == "docker"
    assert decide("auto", None, Engine(pulls=600).obstacle).kind == "process"
    assert decide("docker", None, Engine(pulls=600).obstacle).kind == "docker"


def test_containers_that_were_asked_for_and_cannot_be_had_are_an_error_with_the_way_out() -> None:
    with pytest.raises(OpsError, match=r"nothing to be had.*docs/containers"):
        decide("docker", None, Engine(pulls=None).obstacle)


def test_processes_that_were_asked_for_ask_no_engine() -> None:
    machine = Engine()

    assert decide("process", None, machine.obstacle).kind == "process"
    assert machine.asked == []


def test_a_home_stays_with_what_its_data_lie_in_and_asks_no_engine() -> None:
    machine = Engine()

    assert decide(None, "process", machine.obstacle).kind == "process"
    assert decide("auto", "docker", machine.obstacle).kind == "docker"
    assert machine.asked == []


def test_what_would_not_see_the_data_of_a_home_is_refused() -> None:
    with pytest.raises(OpsError, match=r"plain directories.*prm clean"):
        decide("docker", "process", Engine().obstacle)
    with pytest.raises(OpsError, match="volumes of containers"):
        decide("process", "docker", Engine().obstacle)


def test_a_home_tells_what_its_data_lie_in(tmp_path: Path) -> None:
    before = kept(tmp_path)
    (tmp_path / "postgres" / "data").mkdir(parents=True)
    processes = kept(tmp_path)
    (tmp_path / "kafka").mkdir()
    (tmp_path / "kafka" / "container").write_text("prm-kafka-1")

    assert (before, processes, kept(tmp_path)) == (None, "process", "docker")


def test_a_home_of_containers_is_served_by_containers_of_the_images_set(tmp_path: Path) -> None:
    (tmp_path / "kafka").mkdir()
    (tmp_path / "kafka" / "container").write_text("prm-kafka-1")

    chosen = choose(Settings(tmp_path, kafka_image="mine@sha256:1"), tmp_path)

    assert isinstance(chosen.kafka, KafkaContainer)
    assert chosen.kafka.image == "mine@sha256:1"
    assert isinstance(chosen.postgres, PostgresContainer)
    assert chosen.why == "containers (its data are there)"


def test_without_an_engine_there_are_processes_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody")

    chosen = choose(Settings(tmp_path), tmp_path)

    assert isinstance(chosen.kafka, Kafka)
    assert chosen.why == "local processes (no Docker engine answers)"


def test_an_engine_that_hangs_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/hangs")
    monkeypatch.setattr(engine, "ANSWERS_WITHIN", 0.2)

    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(f"{tmp_path}/hangs")
        silent.listen()
        found = engine.obstacle(["an-image"], 60)

    assert found == "no Docker engine answers"


def test_tests_do_as_prm_backend_says_but_leave_a_users_addresses_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRM_KAFKA_BOOTSTRAP", "users:9092")
    monkeypatch.setenv("PRM_KAFKA_IMAGE", "mine")
    told = {}
    for backend in ("auto", "docker", "env"):
        monkeypatch.setenv("PRM_BACKEND", backend)
        told[backend] = own_settings(tmp_path)

    assert [it.kafka_bootstrap for it in told.values()] == [None, None, "users:9092"]
    assert [it.backend for it in told.values()] == ["auto", "docker", "env"]
    assert told["docker"].kafka_image == "mine"


def test_the_brokers_image_is_of_the_version_that_runs_as_a_process() -> None:
    version = settings.KAFKA_IMAGE.partition(":")[2]

    assert f"<version>{version}</version>" in POM.read_text()
