"""Numbered SQL runs once, in order, and is never edited."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from chassis.storage.migrate import MigrationChanged, migrate


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The migrations directory of an importable package `moving_svc`."""
    directory = tmp_path / "moving_svc" / "migrations"
    directory.mkdir(parents=True)
    (directory.parent / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    (directory / "001_places.sql").write_text("CREATE TABLE places (name text);")
    yield directory
    __import__("sys").modules.pop("moving_svc", None)


def test_what_ran_does_not_run_again(fresh_database: str, package: Path) -> None:
    first = migrate(fresh_database, "moving_svc")
    (package / "002_names.sql").write_text("ALTER TABLE places ADD COLUMN size int;")

    second = migrate(fresh_database, "moving_svc")

    assert first[0] == "chassis/001_event_store.sql"
    assert first[-1] == "moving_svc/001_places.sql"
    assert second == ["moving_svc/002_names.sql"]


def test_an_edited_migration_is_refused(fresh_database: str, package: Path) -> None:
    migrate(fresh_database, "moving_svc")
    (package / "001_places.sql").write_text("CREATE TABLE places (name int);")

    with pytest.raises(MigrationChanged, match="moving_svc/001_places"):
        migrate(fresh_database, "moving_svc")


def test_a_failing_migration_leaves_nothing(fresh_database: str, package: Path) -> None:
    (package / "002_broken.sql").write_text("CREATE TABLE half (a int); SELECT nonsense;")

    with pytest.raises(psycopg.errors.UndefinedColumn):
        migrate(fresh_database, "moving_svc")

    with psycopg.connect(fresh_database) as reader:
        [(left,)] = reader.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        ).fetchall()
    assert left == 0
