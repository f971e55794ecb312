"""Appends of 32 commands at a time to stores that hold n facts already.

The stores lie in databases of one server and take turns. PRM_BENCH_LARGEST=10000000 fills a third
one: that takes some 15 GB of disk and many minutes.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count, islice
from uuid import UUID, uuid4

import psycopg

from chassis.storage.migrate import migrate
from chassis.storage.new_facts import new_event_id
from chassis.storage.wire import FIRST_CHAIN, chained, fact_digest
from ops.testing import a_database
from prm_contracts.facts import encode

from .append import PAYLOAD, Noted, run_store
from .peer import Measured
from .results import Aim, Series, in_rounds, show
from .server import own_postgres

SIZES = (100_000, 1_000_000, 10_000_000)
USUALLY = 1_000_000
WIDTH, ROUNDS = 32, 5
FACTS_A_STREAM = 4
BYTES_A_FACT = 1_500  # rows, indexes, and what a checkpoint writes twice
# As a server of that size is set up: indexes in memory, not a checkpoint every few seconds.
SETTINGS = {"shared_buffers": "1GB", "max_wal_size": "4GB"}
RATE, KEPT = "append", f"append, of the rate at {SIZES[0]:,}"
AIMS = tuple(Aim("growth", KEPT, facts, 0.8) for facts in SIZES[1:])


def facts(total: int) -> Iterator[str]:
    """Lines of COPY: streams of some facts each, with the digests and chains of the store."""
    actor, data, kind = UUID(int=7), encode(Noted(note=PAYLOAD)), Noted.fact_type
    begun, payload = datetime(2026, 1, 1, tzinfo=UTC), encode(Noted(note=PAYLOAD)).hex()
    positions = count(1)
    for _ in range(-(-total // FACTS_A_STREAM)):
        stream, chain = uuid4(), FIRST_CHAIN
        for version, position in enumerate(islice(positions, FACTS_A_STREAM), 1):
            at = begun + timedelta(milliseconds=position)
            event_id, command_id = new_event_id(at), uuid4()
            digest = fact_digest(
                aggregate_id=stream,
                version=version,
                type=kind,
                event_id=event_id,
                occurred_at=at,
                actor_id=actor,
                data=data,
            )
            chain = chained(chain, digest)
            yield (
                f"{position}\t{stream}\t{version}\t{kind}\t\\\\x{payload}\t{event_id}\t{at}\t{at}\t"
                f"{actor}\t{command_id}\t1\t\t{command_id}\t\\N\t\t\\\\x{chain.hex()}\t\\N\n"
            )


def fill(dsn: str, total: int) -> None:
    with psycopg.connect(dsn, autocommit=True) as owner:
        with owner.cursor().copy("COPY events FROM STDIN") as copy:
            lines = facts(total)
            while some := "".join(islice(lines, 500)):
                copy.write(some)
        owner.execute("VACUUM (FREEZE, ANALYZE) events")
        owner.execute("CHECKPOINT")


def sizes(tell: Callable[[str], None]) -> list[int]:
    """Those that are asked for and that the disk has room for."""
    largest = int(os.environ.get("PRM_BENCH_LARGEST", USUALLY))
    room, asked = shutil.disk_usage(tempfile.gettempdir()).free, list[int]()
    for size in SIZES:
        if size > largest:
            tell(f"{size:,} facts are left out: PRM_BENCH_LARGEST={size} asks for them")
        elif sum(asked, size) * BYTES_A_FACT * 2 > room:
            tell(f"{size:,} facts are left out: {room / 1e9:.0f} GB of disk are too few")
        else:
            asked.append(size)
    return asked


def measure(tell: Callable[[str], None]) -> list[Series]:
    found: dict[str, tuple[Measured, ...]]
    with own_postgres(**SETTINGS) as server, ExitStack() as databases:
        stores: dict[str, Callable[[], Measured]] = {}
        for size in sizes(tell):
            dsn = databases.enter_context(a_database(server))
            migrate(dsn)
            tell(f"{size:,} facts by COPY")
            fill(dsn, size)
            stores[str(size)] = partial(run_store, dsn, WIDTH)
        tell(f"{ROUNDS} rounds")
        found = in_rounds(ROUNDS, stores)
    rates = {int(size): tuple(each.a_second for each in took) for size, took in found.items()}
    series = []
    for size, values in rates.items():
        kept = tuple(value / first for value, first in zip(values, rates[SIZES[0]], strict=True))
        series.append(Series("growth", RATE, size, "commands/s", values))
        series.append(Series("growth", KEPT, size, "x", kept))
    return series


def main() -> None:
    show(measure(print), AIMS)


if __name__ == "__main__":
    main()
