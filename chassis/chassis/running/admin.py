"""The administrator's step before services start: topics, databases, roles, migrations. Repeatable.

A service connects as a role that owns nothing: it can neither change tables nor rewrite facts. What
people ask is read by another, the reader, behind row-level security.
"""

import asyncio
import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import Connection, sql
from psycopg.conninfo import make_conninfo

from chassis.publishing.topics import prepare_topics
from chassis.storage.migrate import grant, grant_reading, migrate
from prm_contracts.facts import Topic

KEY_TABLES: LiteralString = """
CREATE TABLE IF NOT EXISTS subject_keys (
    subject    uuid PRIMARY KEY,
    key        uuid NOT NULL UNIQUE,
    wrapped    bytea NOT NULL,               -- by the platform's master key
    owner      name NOT NULL DEFAULT current_user,
    created_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE subject_keys ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS readable ON subject_keys;
CREATE POLICY readable ON subject_keys FOR SELECT USING (true);
DROP POLICY IF EXISTS written_by_owner ON subject_keys;
CREATE POLICY written_by_owner ON subject_keys FOR INSERT WITH CHECK (owner = current_user);
DROP POLICY IF EXISTS erased ON subject_keys;
CREATE POLICY erased ON subject_keys FOR DELETE
    USING (pg_has_role(current_user, {erasers}, 'MEMBER'));
-- How far the story's clock is ahead of the real one; a deployment never writes it.
CREATE TABLE IF NOT EXISTS story_clock (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    ahead    interval NOT NULL
);
INSERT INTO story_clock (ahead) VALUES ('0') ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True)
class Deployed:
    """A service to prepare. `database`: its name; `erases`: it may destroy subjects' keys."""

    name: str
    package: str
    database: str
    topics: tuple[Topic[Any], ...]
    erases: bool = False

    @property
    def role(self) -> str:
        """The limited role that it connects as; roles belong to the server, so does this name."""
        return f"{self.database}_app"

    @property
    def reader(self) -> str:
        return f"{self.database}_reader"


@dataclass(frozen=True)
class ServiceAddresses:
    """DSNs of the service's limited role, and of its reader."""

    database_dsn: str
    keys_dsn: str
    questions_dsn: str


async def prepare(
    *,
    postgres_admin_dsn: str,
    kafka_bootstrap: str,
    services: Sequence[Deployed],
    key_database: str,
    roles_key: bytes,
    tell: Callable[[str], None] = lambda _: None,
) -> dict[str, ServiceAddresses]:
    """Makes what is missing and answers, by service, where its own data are.

    `roles_key`: the secret that the roles' passwords follow from. `tell` gets one line for each
    thing made. Raises TopicDiffers, MigrationChanged, and the errors of psycopg and aiokafka.
    """
    topics = [topic for service in services for topic in service.topics]
    made = await prepare_topics(kafka_bootstrap, topics, [service.name for service in services])
    if made:
        tell(f"topics: {', '.join(made)}")
    return await asyncio.to_thread(
        prepare_databases, postgres_admin_dsn, services, key_database, roles_key, tell
    )


def prepare_databases(
    admin_dsn: str,
    services: Sequence[Deployed],
    key_database: str,
    roles_key: bytes,
    tell: Callable[[str], None] = lambda _: None,
) -> dict[str, ServiceAddresses]:
    """The part of `prepare` that needs no broker."""
    with psycopg.connect(admin_dsn, autocommit=True) as admin:
        erasers = f"{key_database}_erasers"
        _role(admin, erasers)
        _database(admin, key_database, tell)
        for service in services:
            for role in (service.role, service.reader):
                _role(admin, role, _password(roles_key, role))
            if service.erases:
                _run(admin, "GRANT {} TO {}", erasers, service.role)
            _database(admin, service.database, tell)
            for name in (service.database, key_database):
                _run(admin, "GRANT CONNECT ON DATABASE {} TO {}", name, service.role)
            # temporary tables: where a question is answered as of an earlier time
            allow = "GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}"
            _run(admin, allow, service.database, service.reader)
    _prepare_keys(owned(admin_dsn, key_database), erasers, [service.role for service in services])
    for service in services:
        dsn = owned(admin_dsn, service.database)
        if ran := migrate(dsn, service.package):
            tell(f"{service.database}: {', '.join(ran)}")
        with psycopg.connect(dsn) as owner:
            grant(owner, service.role)
            grant_reading(owner, service.reader)

    def dsn_of(role: str, database: str) -> str:
        password = _password(roles_key, role)
        return make_conninfo(admin_dsn, dbname=database, user=role, password=password)

    return {
        service.name: ServiceAddresses(
            database_dsn=dsn_of(service.role, service.database),
            keys_dsn=dsn_of(service.role, key_database),
            questions_dsn=dsn_of(service.reader, service.database),
        )
        for service in services
    }


def owned(admin_dsn: str, database: str) -> str:
    """The administrator's DSN of a database, acting as its owner."""
    return make_conninfo(admin_dsn, dbname=database, options=f"-c role={database}_owner")


def _database(admin: Connection[Any], name: str, tell: Callable[[str], None]) -> None:
    owner = f"{name}_owner"
    _role(admin, owner)
    if not admin.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).rowcount:
        _run(admin, "CREATE DATABASE {} OWNER {}", name, owner)
        tell(f"database {name}")
    _run(admin, "REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM PUBLIC", name)


def _role(admin: Connection[Any], name: str, password: str | None = None) -> None:
    """A role that can do nothing by itself; with a password it can log on."""
    if not admin.execute("SELECT FROM pg_roles WHERE rolname = %s", (name,)).rowcount:
        _run(admin, "CREATE ROLE {} NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS", name)
    if password is None:
        _run(admin, "GRANT {} TO CURRENT_USER", name)  # an administrator need not be a superuser
    else:
        statement = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}")
        admin.execute(statement.format(sql.Identifier(name), sql.Literal(password)))


def _prepare_keys(dsn: str, erasers: str, roles: Sequence[str]) -> None:
    with psycopg.connect(dsn) as owner:
        owner.execute("SELECT pg_advisory_xact_lock(5928342)")
        owner.execute(sql.SQL(KEY_TABLES).format(erasers=sql.Literal(erasers)))
        _run(owner, "GRANT DELETE ON subject_keys TO {}", erasers)
        for role in roles:
            _run(owner, "GRANT SELECT, INSERT ON subject_keys TO {}", role)
            _run(owner, "GRANT SELECT, UPDATE ON story_clock TO {}", role)


def _password(roles_key: bytes, role: str) -> str:
    return hmac.new(roles_key, role.encode(), hashlib.sha256).hexdigest()


def _run(connection: Connection[Any], statement: LiteralString, *names: str) -> None:
    connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
