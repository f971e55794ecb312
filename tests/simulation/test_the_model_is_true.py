"""What the model of PostgreSQL answers, the real one answers too: every statement of whole runs."""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from random import Random
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, Format, TransactionStatus

from chassis.storage import alone
from chassis.storage.migrate import migrate
from ops.testing import a_database

from .connections import Sent
from .database import Database, Event
from .platform import SERVICES, Durable
from .prologue import prologue
from .run import run
from .scheduler import Calm, Weather
from .story import Lives, Script

# The run's clock, in place of the server's.
CLOCK = """
CREATE SCHEMA story;
CREATE FUNCTION story.now() RETURNS timestamptz LANGUAGE sql STABLE
    RETURN current_setting('story.now')::timestamptz;
ALTER TABLE errands ALTER asked_at SET DEFAULT story.now(),
    ALTER next_try_at SET DEFAULT story.now();
ALTER TABLE parking ALTER parked_at SET DEFAULT story.now()"""
NEVER = datetime(1970, 1, 1, tzinfo=UTC)
OPTIONS = "-c search_path=story,public,pg_catalog -c lock_timeout=3s"
WITHOUT_ANSWER = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "SET", "SELECT 1")


@contextmanager
def real_databases(admin_dsn: str) -> Iterator[dict[str, str]]:
    """DSN by service; each migrated, its clock the run's."""
    with ExitStack() as all_of_them:
        found = {}
        for name, service in SERVICES.items():
            dsn = all_of_them.enter_context(a_database(admin_dsn))
            migrate(dsn, service.package)
            with psycopg.connect(dsn) as owner:
                owner.execute(CLOCK)
            found[name] = make_conninfo(dsn, options=OPTIONS)
        yield found


class Sessions:
    """The connections of a run as real ones; one that is closed is used again."""

    def __init__(self, addresses: dict[str, str]) -> None:
        self._addresses = addresses
        self._open: dict[Any, psycopg.Connection[Any]] = {}
        self._free: dict[str, list[psycopg.Connection[Any]]] = defaultdict(list)
        self.clocks: dict[Any, datetime] = {}

    def of(self, sent: Sent) -> psycopg.Connection[Any]:
        if sent.connection not in self._open:
            free = self._free[sent.database]
            dsn = self._addresses[sent.database]
            found = free.pop() if free else psycopg.connect(dsn, autocommit=True)
            self._open[sent.connection] = found
        return self._open[sent.connection]

    def close(self, sent: Sent) -> None:
        if session := self._open.pop(sent.connection, None):
            session.execute("SELECT pg_advisory_unlock_all()")
            self._free[sent.database].append(session)

    def end(self) -> None:
        for session in (*self._open.values(), *(it for all_ in self._free.values() for it in all_)):
            session.close()


def answer_of(sessions: Sessions, sent: Sent) -> Any:
    session = sessions.of(sent)
    is_failed = session.info.transaction_status is TransactionStatus.INERROR
    if sessions.clocks.get(session) != sent.now and not is_failed:
        session.execute("SELECT set_config('story.now', %s, false)", (sent.now.isoformat(),))
        # A setting that is rolled back is as it was before.
        is_idle = session.info.transaction_status is TransactionStatus.IDLE
        sessions.clocks[session] = sent.now if is_idle else NEVER
    try:
        if sent.query == alone.APPEND.sql.decode():
            return appended_alone(session, sent.values)
        cursor = session.execute(sent.query, sent.values)
    except psycopg.Error as fault:
        return fault.sqlstate, fault.diag.message_detail
    return cursor.fetchall() if cursor.description else cursor.rowcount


def appended_alone(session: psycopg.Connection[Any], values: Sequence[bytes | None]) -> Any:
    """As the writer sends it: psycopg does not know $1, nor the types of packed values."""
    _, query, types = alone.APPEND
    result = session.pgconn.exec_params(query, values, types, [Format.BINARY] * len(types))
    if result.status != ExecStatus.TUPLES_OK:
        raise error_from_result(result)
    return [(int(result.get_value(row, 0) or 0),) for row in range(result.ntuples)]


def told(answer: Any, is_ordered: bool) -> Any:
    """In one form, whether it comes from the model or from the server."""
    if isinstance(answer, psycopg.Error):
        return answer.sqlstate, answer.diag.message_detail
    if not isinstance(answer, list):
        return answer
    rows = [tuple(row.values()) if isinstance(row, dict) else row for row in answer]
    return rows if is_ordered else sorted(rows, key=repr)


def differences(log: Sequence[Sent], sessions: Sessions) -> Iterator[str]:
    for sent in log:
        if sent.query == "CLOSE":
            sessions.close(sent)
        elif isinstance(sent.answer, psycopg.errors.DeadlockDetected):
            continue  # one after the other, nobody waits in a circle
        else:
            found = answer_of(sessions, sent)
            _, order, rest = sent.query.rpartition("ORDER BY")
            is_ordered = bool(order) and ")" not in rest  # of the rows, not inside of a question
            modelled, real = told(sent.answer, is_ordered), told(found, is_ordered)
            if modelled != real and not sent.query.startswith(WITHOUT_ANSWER):
                yield f"{sent.database}: {sent.query}\n{sent.values}\n{modelled}\n{real}"


def stored(dsn: str, table: str, columns: Sequence[str]) -> list[tuple[Any, ...]]:
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    with psycopg.connect(dsn) as connection:
        query = sql.SQL("SELECT {} FROM {}").format(names, sql.Identifier(table))
        return sorted(connection.execute(query).fetchall(), key=repr)


def other_tables(database: Database, dsn: str) -> Iterator[str]:
    columns: Sequence[str] = Event._fields
    if stored(dsn, "events", columns) != sorted(map(tuple, database.events), key=repr):
        yield f"{database.name}: events differ"
    for table, rows in database.tables.items():
        if not rows or table in ("outcomes", "relay", "territory_map"):  # their keys are no columns
            continue
        columns = list(next(iter(rows.values())))
        modelled = sorted((tuple(row[it] for it in columns) for row in rows.values()), key=repr)
        if modelled != (real := stored(dsn, table, columns)):
            yield f"{database.name}: {table} differs\n{modelled}\n{real}"


@pytest.mark.parametrize("seed", range(int(os.environ.get("PRM_SIMULATED", "2"))))
def test_postgresql_answers_as_its_model_does(postgres_server: str, seed: int) -> None:
    rng, log = Random(seed), list[Sent]()
    outcome = run(Durable.empty(), seed, Calm(), lambda people: [prologue(people)], log=log)
    script = Script.drawn(rng)
    if seed == 0:
        script = script.at_its_fullest()
    outcome = run(
        outcome.durable, seed, Weather(rng), lambda people: Lives(people, script).all(), log=log
    )

    with real_databases(postgres_server) as addresses:
        sessions = Sessions(addresses)
        different = list(differences(log, sessions))
        sessions.end()
        for name, database in outcome.durable.databases.items():
            different += other_tables(database, addresses[name])

    assert len(log) > 500
    assert different[:3] == []
