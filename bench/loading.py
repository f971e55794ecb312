"""Loading an aggregate of n facts, in the moment when most of them lie behind its snapshot.

A snapshot is taken once a load replays 100 facts: at most 100 have to be replayed, however long the
stream is. `from its first fact` is the same stream without its snapshot. p50 and p99 of each round.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from statistics import quantiles
from uuid import UUID, uuid4

import psycopg
import uvloop

from chassis.aggregates import Aggregate
from chassis.context import Actor, Context
from chassis.storage.event_store import PostgresEventStore
from chassis.storage.lines import Lines
from chassis.storage.migrate import migrate
from chassis.storage.snapshots import keep
from chassis.storage.window import SNAPSHOT_AFTER, Window
from chassis.store import Saved, Store

from .append import PAYLOAD, Noted
from .results import Aim, Series, show
from .server import own_postgres

FACTS = (10, 100, 1_000, 10_000)
ROUNDS, LOADS = 3, 200
WHOLE_LOADS = 20  # from the first fact: each takes up to a second
AT_ONCE = 500  # facts a command
WORST, WHOLE = "with snapshot", "from its first fact"
AIMS = tuple(Aim("load", f"{WORST} p99", facts, 5.0) for facts in FACTS)


class Journal(Aggregate[Noted]):
    written: int = 0

    def write(self, note: str) -> None:
        self.record(Noted(note=note))

    def apply(self, fact: Noted) -> None:  # noqa: ARG002 - that it was, is all
        self.written += 1


class Unsnapped(Journal):
    """The same stream; nobody keeps a snapshot of this kind."""


async def write_notes(store: Store, ctx: Context, journal_id: UUID, notes: int) -> Saved:
    journal = await store.load_or_new(Journal, journal_id)
    for _ in range(notes):
        journal.write(PAYLOAD)
    return await store.save(ctx, journal)


class Journals:
    """A stream of each length: the last facts of a long one lie behind its snapshot."""

    def __init__(self, events: PostgresEventStore, reads: Lines) -> None:
        self._events, self._reads = events, reads
        self._ids = {facts: uuid4() for facts in FACTS}

    async def write(self) -> None:
        for facts, journal_id in self._ids.items():
            behind = min(facts, SNAPSHOT_AFTER - 1)
            await self._append(journal_id, facts - behind)
            window = await self._load(Journal, journal_id)
            async with self._events.reads.pool.connection() as connection:
                await keep(connection, window.snapshots)
            await self._append(journal_id, behind)

    async def _append(self, journal_id: UUID, notes: int) -> None:
        for begun in range(0, notes, AT_ONCE):
            ctx = Context(Actor(UUID(int=7)), datetime.now(UTC), uuid4(), correlation_id=uuid4())
            await self._events.execute(write_notes, ctx, journal_id, min(AT_ONCE, notes - begun))

    async def _load(self, kind: type[Journal], journal_id: UUID) -> Window:
        window = Window(self._reads)
        await window.load_or_new(kind, journal_id)
        return window

    async def timed(self, facts: int, variant: str) -> tuple[float, float]:
        """p50 and p99 of one round, in milliseconds."""
        kind, loads = (Journal, LOADS) if variant == WORST else (Unsnapped, WHOLE_LOADS)
        took = []
        for _ in range(loads):
            begun = time.perf_counter()
            await self._load(kind, self._ids[facts])
            took.append((time.perf_counter() - begun) * 1000)
        cuts = quantiles(took, n=100, method="inclusive")
        return cuts[49], cuts[98]


async def _rounds(dsn: str, tell: Callable[[str], None]) -> list[Series]:
    events = PostgresEventStore(dsn, lambda: datetime.now(UTC))
    await events.open()
    reads = Lines(dsn)  # as the store itself loads
    journals = Journals(events, reads)
    tell(f"writing streams of {FACTS} facts")
    await journals.write()
    found: dict[tuple[int, str], list[tuple[float, float]]] = {}
    for number in range(ROUNDS):
        tell(f"round {number + 1} of {ROUNDS}")
        for facts in FACTS:
            for variant in (WORST, WHOLE):
                timed = await journals.timed(facts, variant)
                found.setdefault((facts, variant), []).append(timed)
    await reads.close()
    await events.close()
    return [
        Series("load", f"{variant} {cut}", facts, "ms", values, is_lower_better=True)
        for (facts, variant), timed in found.items()
        for cut, values in zip(("p50", "p99"), zip(*timed, strict=True), strict=True)
    ]


def measure(tell: Callable[[str], None]) -> list[Series]:
    with own_postgres() as dsn:
        migrate(dsn)
        series = uvloop.run(_rounds(dsn, tell))
        with psycopg.connect(dsn) as owner:
            kept = owner.execute("SELECT version FROM snapshots ORDER BY version").fetchall()
            assert kept == [(901,), (9901,)], kept
    return series


def main() -> None:
    show(measure(print), AIMS)


if __name__ == "__main__":
    main()
