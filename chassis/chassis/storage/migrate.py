"""Numbered SQL, each file once and in order: the chassis' own first, then the service's."""

import hashlib
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable

import psycopg
from psycopg import Connection, sql

# The service's role may do no more than this; facts are only ever inserted.
INSERT_ONLY = ("events", "outcomes")


class MigrationChanged(RuntimeError):
    """A migration that ran was edited afterwards, or is gone: write a new one instead."""


def migrate(dsn: str, *packages: str) -> list[str]:
    """Runs what is new of the chassis and of these packages; answers what it ran.

    `dsn`: of the database's owner. Everything runs in one transaction, under a lock, so that two
    admin steps at once do no harm. Raises MigrationChanged.
    """
    with psycopg.connect(dsn) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(5928342)")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY, checksum text NOT NULL,"
            " ran_at timestamptz NOT NULL DEFAULT now())"
        )
        before = connection.execute("SELECT name, checksum FROM migrations").fetchall()
        checksums = {str(name): checksum for name, checksum in before}
        return [
            name
            for package in ("chassis", *packages)
            for name, script in _scripts(package)
            if _run(connection, name, script, checksums.get(name))
        ]


def grant(connection: Connection[tuple[object, ...]], role: str) -> None:
    """Gives a service's role what it needs on all tables and functions of the public schema.

    To be run by their owner after `migrate`; a second time changes nothing.
    """
    name = sql.Identifier(role)
    for statement in (
        "GRANT USAGE ON SCHEMA public TO {}",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {}",
        "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {}",
        "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO {}",
        "REVOKE INSERT, UPDATE, DELETE ON migrations FROM {}",
    ):
        connection.execute(sql.SQL(statement).format(name))
    for table in INSERT_ONLY:
        revoke = "REVOKE UPDATE, DELETE, TRUNCATE ON {} FROM {}"
        connection.execute(sql.SQL(revoke).format(sql.Identifier(table), name))


def _scripts(package: str) -> Iterator[tuple[str, str]]:
    directory = files(package).joinpath("migrations")
    if not directory.is_dir():
        return
    scripts: list[Traversable] = [it for it in directory.iterdir() if it.name.endswith(".sql")]
    for script in sorted(scripts, key=lambda it: it.name):
        yield f"{package}/{script.name}", script.read_text()


def _run(
    connection: Connection[tuple[object, ...]], name: str, script: str, before: object
) -> bool:
    checksum = hashlib.sha256(script.encode()).hexdigest()
    if before is not None:
        if before != checksum:
            raise MigrationChanged(name)
        return False
    connection.execute(script.encode())
    connection.execute("INSERT INTO migrations (name, checksum) VALUES (%s, %s)", (name, checksum))
    return True
