"""The broker and the database as local processes, and as addresses that are given."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ops import ports, processes
from ops.backends import Given, choose
from ops.backends.kafka import Kafka, answers_metadata
from ops.backends.postgres import Postgres
from ops.failures import OpsError
from ops.local import LocalServer, wait_for
from ops.settings import Settings


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[Postgres]:
    server = Postgres(tmp_path / "postgres", bound=True)
    yield server
    server.kill()


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    server = Kafka(tmp_path_factory.mktemp("kafka"), bound=True)
    yield server
    server.kill()


def ask(dsn: str, question: str) -> object:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(question.encode()).fetchone()
        return row[0] if row else None


def test_the_database_keeps_what_was_committed_through_a_crash_and_its_address(
    postgres: Postgres,
) -> None:
    dsn = postgres.start()
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")

    postgres.kill()
    died = not postgres.is_alive()
    again = postgres.start()

    assert died
    assert again == dsn
    assert ask(again, "SELECT n FROM kept") == 7


def test_the_database_commits_to_disk_and_asks_for_a_password(postgres: Postgres) -> None:
    dsn = postgres.start()

    settings = [ask(dsn, f"SHOW {name}") for name in ("fsync", "synchronous_commit")]

    assert settings == ["on", "on"]
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgresql://postgres@127.0.0.1:{postgres.port}/postgres")


def test_a_stopped_database_has_ended_and_stopping_twice_is_no_error(postgres: Postgres) -> None:
    postgres.start()

    postgres.stop()
    postgres.stop()

    assert not postgres.is_alive()
    assert not ports.answers(postgres.port)
    assert "shut down" in postgres.log.read_text() or not postgres.log.read_text().strip()


def test_a_lock_file_that_names_a_stranger_does_not_keep_the_database_from_starting(
    postgres: Postgres,
) -> None:
    postgres.start()
    postgres.stop()
    lock = postgres.cluster / "postmaster.pid"
    lock.write_text(f"{os.getppid()}\n{postgres.cluster}\n1\n{postgres.port}\n\n127.0.0.1\n\n")

    dsn = postgres.start()

    assert ask(dsn, "SELECT 1") == 1


def test_a_record_left_by_a_crash_never_names_a_strangers_process(postgres: Postgres) -> None:
    postgres.start()
    postgres.stop()
    stranger = processes.spawn(["sleep", "60"], log=postgres.home / "stranger", bound=True)
    older = processes.Running(stranger.pid, stranger.started - 1, stranger.boot)
    processes.remember(postgres.home / "pid", older)

    postgres.kill()

    assert stranger.is_alive()
    processes.stop(stranger, with_signal=signal.SIGTERM, patience=5)


STARTS_AND_DIES = """
import os, signal, sys
from pathlib import Path
from ops.backends.postgres import Postgres
Postgres(Path(sys.argv[1]), bound=True).start()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_server_bound_to_its_caller_ends_when_the_caller_is_killed(tmp_path: Path) -> None:
    home = tmp_path / "postgres"

    subprocess.run([sys.executable, "-c", STARTS_AND_DIES, home], check=False)

    server = Postgres(home)
    assert (home / "pid").exists()
    assert wait_for(lambda: not server.is_alive(), 5)


def test_the_next_free_port_is_taken_and_an_occupied_one_changed(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        taken = holder.getsockname()[1]
        server = Postgres(tmp_path / "postgres", first_port=taken, bound=True)
        dsn = server.start()

    try:
        assert server.port > taken
        assert ask(dsn, "SELECT 1") == 1
    finally:
        server.kill()


def test_a_server_that_cannot_start_shows_its_last_log_lines(postgres: Postgres) -> None:
    postgres.start()
    postgres.stop()
    (postgres.cluster / "postgresql.conf").write_text("no such thing = 1\n")

    with pytest.raises(OpsError, match=r"PostgreSQL ended[\s\S]*syntax error[\s\S]*prm clean"):
        postgres.start()


def test_the_broker_comes_back_at_its_address_after_a_crash_and_after_a_stop(kafka: Kafka) -> None:
    bootstrap = kafka.start()

    for end in (kafka.kill, kafka.stop):
        end()
        assert not kafka.is_alive()
        assert not answers_metadata(bootstrap)
        assert kafka.start() == bootstrap

    assert answers_metadata(bootstrap)


def test_the_broker_starts_inside_a_running_loop(kafka: Kafka) -> None:
    async def starts() -> str:
        return kafka.start()

    assert answers_metadata(asyncio.run(starts()))


def test_given_addresses_are_used_each_alone_and_process_ignores_them(tmp_path: Path) -> None:
    given = Settings(tmp_path, kafka_bootstrap="broker:9092")

    mixed = choose(given, tmp_path)
    own = choose(Settings(tmp_path, backend="process", kafka_bootstrap="broker:9092"), tmp_path)

    assert isinstance(mixed.kafka, Given)
    assert mixed.kafka.address == "broker:9092"
    assert isinstance(mixed.postgres, LocalServer)
    assert isinstance(own.kafka, Kafka)


def test_given_addresses_are_asked_before_anything_relies_on_them(
    tmp_path: Path, kafka: Kafka, postgres: Postgres
) -> None:
    answering = Settings(tmp_path, "env", kafka.start(), postgres.start())
    nobody = f"127.0.0.1:{ports.any_free()}"
    silent = Settings(tmp_path, "env", nobody, f"postgresql://me:s3cret@{nobody}/x")

    assert choose(answering, tmp_path).kafka.start() == kafka.address
    assert choose(answering, tmp_path).postgres.start() == postgres.address
    with pytest.raises(OpsError, match=f"PRM_KAFKA_BOOTSTRAP={nobody}: no answer"):
        choose(silent, tmp_path).kafka.start()
    with pytest.raises(OpsError, match=r"PRM_POSTGRES_DSN=postgresql://me:\*\*\*@.*no answer"):
        choose(silent, tmp_path).postgres.start()


def test_env_without_both_addresses_says_which_are_needed(tmp_path: Path) -> None:
    half = Settings(tmp_path, backend="env", kafka_bootstrap="broker:9092")

    with pytest.raises(OpsError, match="PRM_POSTGRES_DSN"):
        choose(half, tmp_path)


def test_the_holder_of_a_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        assert not ports.is_free(port)
        assert str(os.getpid()) in ports.holder_of(port)


def test_each_test_has_a_database_of_its_own(postgres_server: str, fresh_database: str) -> None:
    names = [ask(dsn, "SELECT current_database()") for dsn in (postgres_server, fresh_database)]

    assert names[0] != names[1]
