"""The SQL function `append`: order, chain and locks, as seen from outside of our own code."""

import asyncio
import contextlib
import hashlib
import signal
import subprocess
import sys
import time
from datetime import UTC
from pathlib import Path
from typing import Any, LiteralString
from uuid import UUID, uuid4

import psycopg
import pytest

from chassis.context import Context
from chassis.storage.event_store import PostgresEventStore
from chassis.storage.migrate import grant, migrate
from chassis.store import Saved, Store
from chassis.testing import NOW, a_command, event_store, stored_facts
from chassis.testing.chaos import Chaos

from .counters import Counter, count, count_all, open_counter


def table(dsn: str) -> list[dict[str, Any]]:
    with psycopg.connect(dsn, row_factory=psycopg.rows.dict_row) as connection:
        return connection.execute("SELECT * FROM events ORDER BY position").fetchall()


def recomputed_chain(row: dict[str, Any], previous: bytes) -> bytes:
    """By the published rule, with hashlib and the stored columns only."""
    occurred_at = row["occurred_at"].astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    parts = [
        str(row["aggregate_id"]).encode(),
        str(row["version"]).encode(),
        row["type"].encode(),
        str(row["event_id"]).encode(),
        occurred_at.encode(),
        str(row["actor_id"]).encode(),
        row["data"],
    ]
    framed = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hashlib.sha256(previous + hashlib.sha256(framed).digest()).digest()


async def count_thrice(store: Store, ctx: Context, counter_id: UUID) -> Saved:
    counter = await store.load(Counter, counter_id)
    for _ in range(3):
        counter.count()
    return await store.save(ctx, counter)


async def test_the_chain_of_each_aggregate_is_recomputed_from_the_rows(fresh_database: str) -> None:
    a, b = uuid4(), uuid4()
    async with event_store(fresh_database) as events:
        await asyncio.gather(*(events.execute(count_all, a_command(), a, b) for _ in range(5)))
        await events.execute(count_all, a_command(), b)
        await events.execute(count_thrice, a_command(), a)

    heads: dict[UUID, bytes] = {}
    for row in table(fresh_database):
        previous = heads.get(row["aggregate_id"], bytes(32))
        heads[row["aggregate_id"]] = recomputed_chain(row, previous)
        assert row["chain"] == heads[row["aggregate_id"]]
    assert set(heads) == {a, b}


async def test_a_changed_byte_breaks_the_chain(fresh_database: str) -> None:
    async with event_store(fresh_database) as events:
        await events.execute(open_counter, a_command())
    with psycopg.connect(fresh_database) as owner:
        owner.execute("UPDATE events SET data = data || ' '::bytea")

    [row] = table(fresh_database)

    assert row["chain"] != recomputed_chain(row, bytes(32))


WRITER = """
import asyncio, sys
from uuid import UUID, uuid5
from chassis.storage.postgres import StoreUnavailable
from chassis.context import Context
from chassis.storage.event_store import TooManyClashes
from chassis.store import Saved, Store
from chassis.testing import NOW, a_command, event_store
from tests.counters import count_all

async def main(dsn, name, times):
    shared, own = UUID(int=1), uuid5(UUID(int=1), name)
    async def one(number):
        ctx = a_command(id=uuid5(own, str(number)))
        while True:
            try:
                both = (shared, own) if number % 4 == 0 else (own,)
                await events.execute(count_all, ctx, *both)
                print(ctx.command_id, flush=True)
                return
            except (TooManyClashes, StoreUnavailable):
                pass
    async with event_store(dsn) as events:
        await asyncio.gather(*(one(number) for number in range(times)))
asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


def writing_process(dsn: str, name: str, times: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, dsn, name, str(times)],
        cwd=Path(__file__).parent.parent,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_writers_of_several_processes_leave_no_gap_lose_nothing_and_double_nothing(
    fresh_database: str,
) -> None:
    migrate(fresh_database)
    processes = [writing_process(fresh_database, name, 60) for name in "abc"]
    acknowledged = [
        line for process in processes for line in process.communicate(timeout=60)[0].split()
    ]

    rows = table(fresh_database)

    assert len(acknowledged) == 180
    assert [row["position"] for row in rows] == list(range(1, len(rows) + 1))
    assert {str(row["command_id"]) for row in rows} == set(acknowledged)
    assert len(rows) == 3 * (45 + 15 * 2)
    versions: dict[UUID, list[int]] = {}
    for row in rows:
        versions.setdefault(row["aggregate_id"], []).append(row["version"])
    assert all(found == list(range(1, len(found) + 1)) for found in versions.values())
    times = [row["recorded_at"] for row in rows]
    assert times == sorted(set(times))


def test_what_a_killed_process_had_acknowledged_is_there_and_the_rest_is_asked_again_once(
    fresh_database: str,
) -> None:
    migrate(fresh_database)
    killed = writing_process(fresh_database, "a", 400)
    assert killed.stdout
    acknowledged = [killed.stdout.readline().strip() for _ in range(20)]
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert set(acknowledged) <= {str(row["command_id"]) for row in table(fresh_database)}

    again = writing_process(fresh_database, "a", 400).communicate(timeout=60)[0].split()

    rows = table(fresh_database)
    assert len(again) == 400
    assert {str(row["command_id"]) for row in rows} == set(again)
    assert len(rows) == 300 + 100 * 2


FROZEN = """
import asyncio, sys
from chassis.storage.postgres import connected
from chassis.store import Saved, Store
from chassis.testing import NOW, a_command
from chassis.storage.window import Window
from tests.counters import open_counter

async def main(dsn):
    async with await connected(dsn, autocommit=False) as connection:
        window = Window.on(connection)
        await open_counter(window, a_command())
        await window.append(NOW)
        print("appended", flush=True)
        await asyncio.sleep(60)
asyncio.run(main(sys.argv[1]))
"""


async def test_a_worker_frozen_between_append_and_commit_stops_others_for_seconds_only(
    fresh_database: str,
) -> None:
    async with event_store(fresh_database) as events:
        frozen = subprocess.Popen(
            [sys.executable, "-c", FROZEN, fresh_database],
            cwd=Path(__file__).parent.parent,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert frozen.stdout
        assert frozen.stdout.readline() == "appended\n"
        frozen.send_signal(signal.SIGSTOP)
        try:
            started = time.monotonic()
            await events.execute(open_counter, a_command())
            waited = time.monotonic() - started
        finally:
            frozen.kill()
            frozen.communicate()

    assert 1 < waited < 5  # 2 s until the server ends its session, and a busy machine
    assert [stored.position for stored in stored_facts(fresh_database)] == [1]


async def test_a_reader_that_follows_the_positions_misses_nothing(fresh_database: str) -> None:
    seen: list[int] = []

    async def follow(until: int) -> None:
        async with await psycopg.AsyncConnection.connect(fresh_database, autocommit=True) as reader:
            while len(seen) < until:
                cursor = seen[-1] if seen else 0
                found = await reader.execute(
                    "SELECT position FROM events WHERE position > %s ORDER BY position", [cursor]
                )
                seen.extend(row[0] for row in await found.fetchall())
                await asyncio.sleep(0)

    async with event_store(fresh_database) as one, event_store(fresh_database) as two:
        reader = asyncio.create_task(follow(400))
        await asyncio.gather(
            *(store.execute(open_counter, a_command()) for store in (one, two) * 200)
        )
        async with asyncio.timeout(30):
            await reader

    assert seen == list(range(1, 401))


def followed(reader: psycopg.Connection[Any], table: LiteralString, seen: list[int]) -> list[int]:
    """What comes behind the last one that was seen."""
    query = f"SELECT position FROM {table} WHERE position > %s ORDER BY position"
    return [row[0] for row in reader.execute(query, [seen[-1] if seen else 0]).fetchall()]


@pytest.mark.chaos
async def test_a_transaction_held_open_hides_nothing_from_who_follows_the_positions(
    fresh_database: str, chaos: Chaos
) -> None:
    """Beside it the naive variant: an identity column gives its numbers before the commit."""
    seen: list[int] = []
    naively: list[int] = []
    held_until = time.monotonic() + (60 if chaos.is_long else 0)
    async with event_store(fresh_database) as events:
        with psycopg.connect(fresh_database) as held:
            held.execute("CREATE TABLE naive (position bigint GENERATED ALWAYS AS IDENTITY)")
            held.commit()
            held.execute("INSERT INTO naive DEFAULT VALUES")
            with psycopg.connect(fresh_database, autocommit=True) as reader:
                while time.monotonic() < held_until or len(seen) < 20:
                    await events.execute(open_counter, a_command())
                    reader.execute("INSERT INTO naive DEFAULT VALUES")
                    seen += followed(reader, "events", seen)
                    naively += followed(reader, "naive", naively)
                held.commit()
                naively += followed(reader, "naive", naively)

    assert seen == list(range(1, len(seen) + 1))
    assert naively == list(range(2, len(seen) + 2)), "the naive variant was to miss the first"


@pytest.fixture
def service_role(fresh_database: str) -> str:
    """DSN of a role that has what `grant` gives and nothing else."""
    migrate(fresh_database)
    role = f"service_{uuid4().hex}"
    with psycopg.connect(fresh_database) as owner:
        owner.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'service'".encode())
        grant(owner, role)
        grant(owner, role)
    return psycopg.conninfo.make_conninfo(fresh_database, user=role, password="service")


async def test_the_services_role_appends_and_never_changes_a_fact(service_role: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        events = PostgresEventStore(service_role, lambda: NOW)
        stack.push_async_callback(events.close)
        await events.open()
        saved = await events.execute(open_counter, a_command())
        await events.execute(count, a_command(), saved.versions[0][0])
        await events.execute(count, a_command(), saved.versions[0][0], 0)

    for statement in (
        "UPDATE events SET data = ''",
        "DELETE FROM events",
        "TRUNCATE events",
        "DELETE FROM outcomes",
        "UPDATE migrations SET checksum = ''",
    ):
        service = psycopg.connect(service_role)
        with service, pytest.raises(psycopg.errors.InsufficientPrivilege):
            service.execute(statement)
