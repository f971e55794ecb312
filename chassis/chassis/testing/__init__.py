"""For tests of any service: a migrated database, an event store on it, and what lies in it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID, uuid4

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from chassis.context import Actor, Context
from chassis.storage.event_store import PostgresEventStore
from chassis.storage.migrate import grant_reading, migrate
from prm_contracts.facts import Fact, decode

NOW = datetime(2027, 3, 1, 9, tzinfo=UTC)
READER_PASSWORD = "reader"  # noqa: S105 - of databases of tests
SOMEBODY = Actor(UUID(int=7))


@asynccontextmanager
async def event_store(
    dsn: str,
    *packages: str,
    now: datetime = NOW,
    on_appended: Callable[[int], None] = lambda _: None,
) -> AsyncIterator[PostgresEventStore]:
    """A store on the database of `dsn` (the fixture `fresh_database`), migrated for the packages,
    e.g. `async with event_store(fresh_database, "deal_svc") as events`. Its clock stands at `now`.
    """
    migrate(dsn, *packages)
    store = PostgresEventStore(dsn, lambda: now, on_appended)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def a_command(
    actor: Actor = SOMEBODY,
    *,
    now: datetime = NOW,
    id: UUID | None = None,
    if_match: int | None = None,
    request_hash: str = "",
) -> Context:
    """The context of one command; with the same `id` it is a repeat."""
    return Context(
        actor=actor,
        now=now,
        command_id=id or uuid4(),
        correlation_id=uuid4(),
        if_match=if_match,
        request_hash=request_hash,
    )


def reader_of(dsn: str) -> str:
    """The DSN of the role that asks questions of a migrated database; made when it is not there.

    `fresh_database` drops it with its database.
    """
    name = f"{conninfo_to_dict(dsn)['dbname']}_reader"
    with psycopg.connect(dsn) as owner:
        if not owner.execute("SELECT FROM pg_roles WHERE rolname = %s", (name,)).rowcount:
            make = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} NOSUPERUSER NOBYPASSRLS")
            owner.execute(make.format(sql.Identifier(name), sql.Literal(READER_PASSWORD)))
        grant_reading(owner, name)
    return make_conninfo(dsn, user=name, password=READER_PASSWORD)


class StoredFact(NamedTuple):
    """A fact of the store, with what of its envelope matters in a test."""

    position: int
    aggregate_id: UUID
    version: int
    event_id: UUID
    fact: Fact


def stored_facts(dsn: str) -> list[StoredFact]:
    """All that lies in the store, in its order."""
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT position, aggregate_id, version, event_id, type, data FROM events"
            " ORDER BY position"
        ).fetchall()
    return [
        StoredFact(position, aggregate_id, version, event_id, decode(fact_type, data))
        for position, aggregate_id, version, event_id, fact_type, data in rows
    ]
