"""Backups of the database server: what was committed comes back, up to the end or to an instant."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from ops import backup
from ops.backends.postgres import Postgres
from ops.failures import OpsError
from ops.local import wait_for
from ops.main import cli
from ops.platform import Platform
from ops.settings import Settings


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Postgres]:
    server = Postgres(tmp_path / "postgres", bound=True)
    server.start()
    yield server
    server.stop()


@contextmanager
def followed(server: Postgres, folder: Path) -> Iterator[None]:
    command, env = backup.follower(server.address, folder)
    process = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


def told(server: Postgres, number: int) -> datetime:
    """Commits a row; answers with an instant after it and before the next."""
    with psycopg.connect(server.address, autocommit=True) as session:
        session.execute("CREATE TABLE IF NOT EXISTS rows (number int)")
        session.execute("INSERT INTO rows VALUES (%s)", (number,))
        [(at,)] = session.execute("SELECT clock_timestamp()").fetchall()
    assert isinstance(at, datetime)
    return at


def has_fetched(server: Postgres) -> bool:
    """Whether the follower has all that is on the server's disk."""
    with psycopg.connect(server.address) as session:
        rows = session.execute(
            "SELECT flush_lsn >= pg_current_wal_flush_lsn() FROM pg_stat_replication"
        ).fetchall()
    return rows == [(True,)]


def rows(server: Postgres) -> list[int]:
    with psycopg.connect(server.address) as session:
        return [row[0] for row in session.execute("SELECT number FROM rows ORDER BY 1")]


def lost(server: Postgres) -> None:
    """The disk of its data is gone."""
    server.kill()
    wait_for(lambda: not server.is_alive(), 10)
    server.cluster.rename(server.cluster.with_name("gone"))


def test_a_lost_server_comes_back_with_all_or_as_it_was_at_an_instant(
    server: Postgres, tmp_path: Path
) -> None:
    folder = tmp_path / "backup"
    told(server, 1)
    backup.take(server.address, folder, datetime.now(UTC))
    with followed(server, folder):
        instant = told(server, 2)
        told(server, 3)
        assert wait_for(lambda: has_fetched(server), 20)
    lost(server)

    assert backup.restore(server, folder, None, print) is None
    server.start()
    everything = rows(server)
    server.stop()
    aside = backup.restore(server, folder, instant, print)
    server.start()

    assert everything == [1, 2, 3]
    assert rows(server) == [1, 2]
    assert told(server, 4) > instant
    assert aside
    assert (aside / "PG_VERSION").exists()


def test_what_cannot_be_restored_is_refused_and_leaves_all_in_place(
    server: Postgres, tmp_path: Path
) -> None:
    folder = tmp_path / "backup"
    told(server, 1)
    base = backup.take(server.address, folder, datetime.now(UTC))
    now = datetime.now(UTC)

    with pytest.raises(OpsError, match="prm down"):
        backup.restore(server, folder, None, print)
    server.stop()
    with pytest.raises(OpsError, match="no backup from before"):
        backup.restore(server, folder, now - timedelta(days=1), print)
    with pytest.raises(OpsError, match="does not reach that instant"):
        backup.restore(server, folder, now + timedelta(days=1), print)
    with (base / "PG_VERSION").open("a") as damaged:
        damaged.write("x")
    with pytest.raises(OpsError, match="not as it was taken"):
        backup.restore(server, folder, None, print)

    server.start()
    assert rows(server) == [1]


def test_a_restore_that_is_interrupted_leaves_all_in_place(
    server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: Postgres) -> None:
        server.begin()
        raise KeyboardInterrupt

    told(server, 1)
    backup.take(server.address, tmp_path / "backup", datetime.now(UTC))
    told(server, 2)
    server.stop()
    monkeypatch.setattr(backup, "_recover", interrupted)

    with pytest.raises(KeyboardInterrupt):
        backup.restore(server, tmp_path / "backup", None, print)

    server.start()
    assert rows(server) == [1, 2]


def test_nothing_is_restored_while_another_command_changes_the_home(tmp_path: Path) -> None:
    home = {"PRM_HOME": str(tmp_path)}

    with Platform(Settings(home=tmp_path)).alone():
        result = CliRunner(env=home).invoke(cli, ["backup", "restore", str(tmp_path)])

    assert "Another command is changing" in result.output
