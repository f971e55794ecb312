"""Append, relay and rebuild at stores that hold n facts, published and tracked all.

`append`: 32 commands at a time. `relay`: 20,000 facts more, to the topic that holds the others.
`rebuild`: the plain list of all facts, in a process of its own; its PSS is the most that it held.
Each store has a database of one server, a broker of its own, and its turn in each round; of the
largest there is one rebuild, because that takes minutes.

PRM_BENCH_LARGEST=10000000 fills a third store: that takes some 45 GB of disk and half an hour.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from multiprocessing import get_context
from statistics import median
from typing import LiteralString

import psycopg
import uvloop

from chassis.rebuilding.source import RebuildRefused
from chassis.storage.migrate import migrate
from ops.testing import a_database

from .append import run_store
from .history import add, fill, stored, track
from .rebuild import NOTE_LIST, NOTES, PLAIN, Rebuilt, rebuilt
from .relay import Addresses, drained
from .results import Aim, Series, in_rounds, show
from .server import own_kafka, own_postgres

SIZES = (100_000, 1_000_000, 10_000_000)
USUALLY = 1_000_000
WIDTH, BACKLOG, ROUNDS, REBUILDS = 32, 20_000, 5, 3
# 1,160 on its topic and 2,330 in its database while the list is there twice; and what is sorted.
BYTES_A_FACT = 5_000
# As a server of that size is set up: its indexes in memory, which are 115 bytes a fact, and a
# checkpoint not every few seconds.
SETTINGS = {"shared_buffers": "4GB", "max_wal_size": "4GB"}
KEPT = f"of that at {SIZES[0]:,}"
AIMS = tuple(
    Aim("growth", f"{each}, {KEPT}", facts, limit)
    for facts in SIZES[1:]
    for each, limit in (("append", 0.8), ("relay", 0.8), ("rebuild", 0.8), ("PSS", 1.1))
)
LISTED: LiteralString = """
INSERT INTO note_list
SELECT aggregate_id, version, lpad(position::text, 19, '0'),
    convert_from(data, 'UTF8')::jsonb || jsonb_build_object('note_id', aggregate_id)
FROM events"""


def sizes(tell: Callable[[str], None]) -> list[int]:
    """Those that are asked for and that the disk has room for."""
    largest = int(os.environ.get("PRM_BENCH_LARGEST", USUALLY))
    room, asked = shutil.disk_usage(tempfile.gettempdir()).free, list[int]()
    for size in SIZES:
        if size > largest:
            tell(f"{size:,} facts are left out: PRM_BENCH_LARGEST={size} asks for them")
        elif sum(asked, size) * BYTES_A_FACT > room:
            tell(f"{size:,} facts are left out: {room / 1e9:.0f} GB of disk are too few")
        else:
            asked.append(size)
    return asked


def filled(at: Addresses, size: int) -> None:
    """As after the rebuild that filled the list."""
    migrate(at.dsn)
    fill(at.dsn, at.bootstrap, NOTES, stored(PLAIN.facts, size))
    asyncio.run(track(at.dsn, at.bootstrap, PLAIN.table, NOTES))
    with psycopg.connect(at.dsn, autocommit=True) as owner:
        owner.execute(NOTE_LIST)
        owner.execute(LISTED)
        owner.execute("VACUUM (FREEZE, ANALYZE)")


def settle(server: str) -> None:
    """What is left to be written would be written while something is measured."""
    with psycopg.connect(server, autocommit=True) as owner:
        owner.execute("CHECKPOINT")
    os.sync()


def rebuilt_apart(at: Addresses, size: int) -> Rebuilt:
    """By a process that has done nothing else: what it holds is what a rebuild takes."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(rebuild_list, size, *at).result()


def rebuild_list(size: int, dsn: str, bootstrap: str) -> Rebuilt:
    try:
        return rebuilt(PLAIN, size, dsn, bootstrap, print)
    except RebuildRefused as refused:  # which does not travel between processes
        raise RuntimeError(str(refused)) from None


def rebuilds(stores: Mapping[int, Addresses]) -> dict[int, tuple[Rebuilt, ...]]:
    runs = {str(size): partial(rebuilt_apart, at, size) for size, at in stores.items()}
    found = in_rounds(1, runs)
    del runs[str(max(stores))]
    for size, more in in_rounds(REBUILDS - 1, runs).items():
        found[size] += more
    return {int(size): each for size, each in found.items()}


def relayed(at: Addresses) -> float:
    """Facts a second."""
    add(at.dsn, PLAIN.facts, BACKLOG)
    return uvloop.run(drained(at, NOTES))


def appended(at: Addresses) -> float:
    """Commands a second."""
    return run_store(at.dsn, WIDTH).a_second


def by_turns(
    run: Callable[[Addresses], float], stores: Mapping[int, Addresses]
) -> dict[int, tuple[float, ...]]:
    found = in_rounds(ROUNDS, {str(size): partial(run, at) for size, at in stores.items()})
    return {int(size): each for size, each in found.items()}


def compared(
    name: str, unit: str, found: Mapping[int, tuple[float, ...]], *, is_lower_better: bool = False
) -> Iterator[Series]:
    firsts = found[SIZES[0]]
    for size, values in found.items():
        # Where there are fewer rounds, each is compared with the usual one.
        peers = firsts if len(values) == len(firsts) else [median(firsts)] * len(values)
        kept = tuple(value / peer for value, peer in zip(values, peers, strict=True))
        yield Series("growth", name, size, unit, values, is_lower_better=is_lower_better)
        yield Series("growth", f"{name}, {KEPT}", size, "x", kept, is_lower_better=is_lower_better)


def measure(tell: Callable[[str], None]) -> list[Series]:
    with own_postgres(**SETTINGS) as server, ExitStack() as all_of_them:
        stores: dict[int, Addresses] = {}
        for size in sizes(tell):
            dsn = all_of_them.enter_context(a_database(server))
            stores[size] = Addresses(dsn, all_of_them.enter_context(own_kafka()))
            tell(f"{size:,} facts into a store, onto its topic, and into the list")
            filled(stores[size], size)
        settle(server)
        tell("rebuilds")
        lists = rebuilds(stores)
        settle(server)
        tell(f"{ROUNDS} rounds of the relay")  # what is appended below has no topic
        relays = by_turns(relayed, stores)
        settle(server)
        tell(f"{ROUNDS} rounds of appends")
        appends = by_turns(appended, stores)
    wholes = {size: tuple(each.whole for each in found) for size, found in lists.items()}
    memory = {size: tuple(each.memory for each in found) for size, found in lists.items()}
    return [
        *compared("append", "commands/s", appends),
        *compared("relay", "facts/s", relays),
        *compared("rebuild", "facts/s", wholes),
        *compared("PSS", "MiB", memory, is_lower_better=True),
    ]


def main() -> None:
    show(measure(print), AIMS)


if __name__ == "__main__":
    main()
