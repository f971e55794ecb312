"""Broker and database as containers of a real engine; without one, skipped with the reason."""

import gc
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from docker.errors import NotFound

from ops.backends.containers import KafkaContainer, PostgresContainer
from ops.backends.engine import engine, obstacle, remove_leftovers
from ops.backends.kafka import answers_metadata
from ops.failures import OpsError
from ops.local import wait_for
from ops.settings import Settings

pytestmark = pytest.mark.docker
SETTINGS = Settings.read()


@pytest.fixture(autouse=True, scope="module")
def images() -> None:
    if stands := obstacle([SETTINGS.kafka_image, SETTINGS.postgres_image], 0):
        pytest.skip(stands)


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[PostgresContainer]:
    server = PostgresContainer(tmp_path / "postgres", SETTINGS.postgres_image, bound=True)
    yield server
    server.kill()
    server.discard()


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[KafkaContainer]:
    server = KafkaContainer(tmp_path / "kafka", SETTINGS.kafka_image, bound=True)
    yield server
    server.kill()
    server.discard()


def ask(dsn: str, question: str) -> object:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(question.encode()).fetchone()
        return row[0] if row else None


def exists(name: str) -> bool:
    try:
        engine().containers.get(name)
    except NotFound:
        return any(it.name == name for it in engine().volumes.list())
    return True


def test_the_database_keeps_what_was_committed_through_crash_and_stop_and_its_address(
    postgres: PostgresContainer,
) -> None:
    dsn = postgres.start()
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")

    for end in (postgres.kill, postgres.stop):
        end()
        assert not postgres.is_alive()
        assert postgres.start() == dsn

    assert ask(dsn, "SELECT n FROM kept") == 7


def test_the_database_commits_to_disk_asks_for_a_password_and_sorts_as_the_process(
    postgres: PostgresContainer,
) -> None:
    dsn = postgres.start()

    settings = [ask(dsn, f"SHOW {name}") for name in ("fsync", "synchronous_commit")]

    assert settings == ["on", "on"]
    assert ask(dsn, "SELECT 'Z' < 'a' AND upper('ä') = 'Ä'")
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgresql://postgres@127.0.0.1:{postgres.port}/postgres")


def test_the_broker_comes_back_at_its_address_after_a_crash_and_after_a_stop(
    kafka: KafkaContainer,
) -> None:
    bootstrap = kafka.start()

    for end in (kafka.kill, kafka.stop):
        end()
        assert not answers_metadata(bootstrap)
        assert kafka.start() == bootstrap

    assert answers_metadata(bootstrap)


def test_a_server_is_published_to_this_machine_only(postgres: PostgresContainer) -> None:
    postgres.start()

    published = engine().containers.get(postgres.container).ports

    [[address]] = published.values()
    assert address == {"HostIp": "127.0.0.1", "HostPort": str(postgres.port)}


def test_a_server_may_be_ended_by_another_than_who_started_it(postgres: PostgresContainer) -> None:
    postgres.start()

    again = PostgresContainer(postgres.home, SETTINGS.postgres_image)
    again.stop()
    again.discard()
    gc.collect()  # warns of sockets that nobody closed

    assert not postgres.is_alive()


def test_a_server_that_cannot_start_shows_its_last_log_lines(postgres: PostgresContainer) -> None:
    postgres.image = SETTINGS.kafka_image

    with pytest.raises(OpsError, match=r"PostgreSQL (ended|cannot be started)[\s\S]*postgres"):
        postgres.start()


def test_a_discarded_server_leaves_neither_container_nor_volume(
    postgres: PostgresContainer,
) -> None:
    postgres.start()
    name = postgres.container

    postgres.kill()
    there = exists(name)
    postgres.discard()

    assert there
    assert not exists(name)


STARTS_AND_DIES = """
import os, signal, sys
from pathlib import Path
from ops.backends.containers import PostgresContainer
PostgresContainer(Path(sys.argv[1]), sys.argv[2], bound=True).start()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_server_ends_with_its_killed_starter_and_the_next_start_removes_it(
    tmp_path: Path,
) -> None:
    home = tmp_path / "postgres"

    subprocess.run(
        [sys.executable, "-c", STARTS_AND_DIES, home, SETTINGS.postgres_image], check=False
    )

    server = PostgresContainer(home, SETTINGS.postgres_image)
    assert wait_for(lambda: not server.is_alive(), 15)
    assert exists(server.container)
    remove_leftovers()
    assert not exists(server.container)
