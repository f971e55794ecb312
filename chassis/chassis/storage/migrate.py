"""Numbered SQL, each file once and in order: the chassis' own first, then the service's."""

import hashlib
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, LiteralString

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


def pending(dsn: str, *packages: str) -> list[str]:
    """Those that have not run there. Raises MigrationChanged."""
    with psycopg.connect(dsn, connect_timeout=3) as connection:
        ran = connection.execute("SELECT name, checksum FROM migrations").fetchall()
    before = {str(name): checksum for name, checksum in ran}
    return [
        name
        for package in ("chassis", *packages)
        for name, script in _scripts(package)
        if not _has_run(name, script, before.get(name))
    ]


# A table without row-level security is no table of questions: the reader sees none of it.
WALLED: LiteralString = (
    "SELECT relname, EXISTS (SELECT FROM pg_policy WHERE polrelid = pg_class.oid"
    " AND polname = 'service') FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    " AND relkind IN ('r', 'p') AND relrowsecurity"
)


def grant(connection: Connection[tuple[Any, ...]], role: str) -> None:
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
    for relation, is_told in connection.execute(WALLED).fetchall():
        if not is_told:
            policy = "CREATE POLICY service ON {} TO {} USING (true) WITH CHECK (true)"
            connection.execute(sql.SQL(policy).format(sql.Identifier(relation), name))


def grant_reading(connection: Connection[tuple[Any, ...]], reader: str) -> None:
    """Lets a service's reader see the tables behind row-level security. As `grant`."""
    name = sql.Identifier(reader)
    connection.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(name))
    for relation, _ in connection.execute(WALLED).fetchall():
        read = "GRANT SELECT ON {} TO {}"
        connection.execute(sql.SQL(read).format(sql.Identifier(relation), name))


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
    if _has_run(name, script, before):
        return False
    values = (name, _checksum(script))
    connection.execute(script.encode())
    connection.execute("INSERT INTO migrations (name, checksum) VALUES (%s, %s)", values)
    return True


def _has_run(name: str, script: str, before: object) -> bool:
    """`before`: its checksum when it ran. Raises MigrationChanged."""
    if before not in (None, _checksum(script)):
        raise MigrationChanged(name)
    return before is not None


def _checksum(script: str) -> str:
    return hashlib.sha256(script.encode()).hexdigest()
