"""The relay: a backlog drained, and the way from a commit to a reader of the topic.

`python -m bench.relay`. *plain* sends the same records in a loop, as the relay does: idempotent,
acknowledged by all replicas. Store, relay and reader share one process.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from statistics import quantiles
from typing import Any, NamedTuple
from uuid import uuid4

import psycopg
import uvloop

from chassis.aggregates import Aggregate
from chassis.consuming.records import STORED, StoredRow
from chassis.context import Actor, Context
from chassis.publishing.relay import HEADS, Relay
from chassis.publishing.topics import prepare_topics
from chassis.storage.event_store import PostgresEventStore
from chassis.storage.migrate import migrate
from chassis.storage.postgres import connected
from chassis.storage.window import Window
from chassis.store import Saved, Store
from ops.testing import a_database, own_backends
from prm_contracts.facts import Topic

from .foreign import ANYONE, TELLING, Told, a_producer, a_reader, first_fact, send
from .results import Aim, Series, in_rounds, show

BACKLOG, AT_ONCE = 20_000, 500  # facts
RATES, SECONDS = (100, 500), 5
ROUNDS = 5
PLAIN = Topic[Any]("prm.bench-plain", (), "bench-other")  # no relay stands by its records
AIMS = (
    Aim("relay drain", "relay", BACKLOG, 0.6, "plain"),
    *(Aim("relay p99", "relay", rate, 2.0, "plain") for rate in RATES),
)


class Teller(Aggregate[Told]):
    def tell(self) -> None:
        self.record(Told())

    def apply(self, fact: Told) -> None:
        """Nothing is decided on it."""


class Addresses(NamedTuple):
    dsn: str
    bootstrap: str


async def tell_once(store: Store, ctx: Context) -> Saved:
    teller = Teller(ctx.new_id("teller"))
    teller.tell()
    return await store.save(ctx, teller)


def a_command() -> Context:
    return Context(Actor(ANYONE), datetime.now(UTC), uuid4(), correlation_id=uuid4())


async def filled(dsn: str) -> None:
    async with await connected(dsn, autocommit=False) as connection:
        for _ in range(BACKLOG // AT_ONCE):
            window = Window.on(connection)
            for _ in range(AT_ONCE):
                await tell_once(window, a_command())
            await window.append_and_commit(datetime.now(UTC))


def drained_again(at: Addresses) -> float:
    with psycopg.connect(at.dsn) as owner:
        owner.execute("UPDATE relay SET position = 0")
    return uvloop.run(drained(at, TELLING))


async def drained(at: Addresses, topic: Topic[Any]) -> float:
    """Facts a second, of what is not published yet, from the relay's leadership on."""
    with psycopg.connect(at.dsn) as owner:
        [(last, first)] = owner.execute(HEADS).fetchall()
    relay = Relay(topic.owner, at.dsn, at.bootstrap, [topic])
    running = asyncio.create_task(relay.run())
    while not relay.is_leader:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.001)
    begun = time.perf_counter()
    while relay.published < last:  # noqa: ASYNC110
        await asyncio.sleep(0.002)
    took = time.perf_counter() - begun
    relay.stop()
    await running
    return float(last - first) / took


async def sent(at: Addresses, rows: list[StoredRow]) -> float:
    async with a_producer(at.bootstrap) as producer:
        begun = time.perf_counter()
        for first in range(0, BACKLOG, AT_ONCE):
            await send(producer, PLAIN, rows[first : first + AT_ONCE])
        return BACKLOG / (time.perf_counter() - begun)


class Latency(NamedTuple):
    """Milliseconds."""

    p50: float
    p99: float


@asynccontextmanager
async def arriving(at: Addresses, topic: Topic[Any]) -> AsyncIterator[dict[str, float]]:
    """Tells of each aggregate, by its id, when its fact arrived at a reader."""
    arrived: dict[str, float] = {}

    async def read() -> None:
        async for record in reader:
            arrived[record.key.decode()] = time.perf_counter()

    async with a_reader(at.bootstrap, topic) as reader:
        reading = asyncio.create_task(read())
        try:
            yield arrived
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading


async def at_rate(rate: int, act: Callable[[], Any], arrived: dict[str, float]) -> Latency:
    """`act` answers with an aggregate's id, and when its way to the reader began."""
    begun, acting = time.perf_counter() + 0.1, []
    for number in range(rate * SECONDS):
        await asyncio.sleep(begun + number / rate - time.perf_counter())
        acting.append(asyncio.create_task(act()))
    told = await asyncio.gather(*acting)
    async with asyncio.timeout(60):
        while any(key not in arrived for key, _ in told):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    cuts = quantiles([(arrived[key] - since) * 1000 for key, since in told], n=100)
    return Latency(max(0.0, cuts[49]), cuts[98])


async def committed(at: Addresses, rate: int) -> Latency:
    relay = Relay(TELLING.owner, at.dsn, at.bootstrap, [TELLING])
    events = PostgresEventStore(at.dsn, lambda: datetime.now(UTC), relay.wake)
    await events.open()
    relay.wake()

    async def command() -> tuple[str, float]:
        saved = await events.execute(tell_once, a_command())
        return str(saved.versions[0][0]), time.perf_counter()

    with psycopg.connect(at.dsn) as owner:
        owner.execute("UPDATE relay SET position = (SELECT max(position) FROM events)")
    running = asyncio.create_task(relay.run())
    async with arriving(at, TELLING) as arrived:
        while not relay.is_leader:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        found = await at_rate(rate, command, arrived)
    relay.stop()
    await running
    await events.close()
    return found


async def produced(at: Addresses, rate: int) -> Latency:
    async with a_producer(at.bootstrap) as producer, arriving(at, PLAIN) as arrived:

        async def produce() -> tuple[str, float]:
            row, since = first_fact(Told(), 1), time.perf_counter()
            await send(producer, PLAIN, [row])
            return str(row.aggregate_id), since

        return await at_rate(rate, produce, arrived)


def stored(dsn: str) -> list[StoredRow]:
    with psycopg.connect(dsn) as reader:
        found = reader.execute(f"SELECT {STORED} FROM events ORDER BY position")
        return [StoredRow(*row) for row in found]


def measure(tell: Callable[[str], None]) -> list[Series]:
    series = []
    with own_backends() as backends:
        admin, bootstrap = backends.postgres.start(), backends.kafka.start()
        with a_database(admin) as dsn:
            migrate(dsn)
            at = Addresses(dsn, bootstrap)
            uvloop.run(prepare_topics(bootstrap, [TELLING, PLAIN], [TELLING.owner]))
            tell(f"{BACKLOG} facts into the store")
            uvloop.run(filled(dsn))
            rows = stored(dsn)
            tell(f"{ROUNDS} rounds of draining them")
            drains: dict[str, Callable[[], float]] = {
                "plain": lambda: uvloop.run(sent(at, rows)),
                "relay": partial(drained_again, at),
            }
            for variant, rates in in_rounds(ROUNDS, drains).items():
                to = None if variant == "plain" else "plain"
                series.append(Series("relay drain", variant, BACKLOG, "facts/s", rates, to))
            for rate in RATES:
                series += latencies(tell, at, rate)
    return series


def latencies(tell: Callable[[str], None], at: Addresses, rate: int) -> list[Series]:
    tell(f"{ROUNDS} rounds of {SECONDS} s at {rate} a second")
    runs = {
        "plain": lambda: uvloop.run(produced(at, rate)),
        "relay": lambda: uvloop.run(committed(at, rate)),
    }
    series = []
    for variant, found in in_rounds(ROUNDS, runs).items():
        to = None if variant == "plain" else "plain"
        for cut in ("p50", "p99"):
            values = tuple(getattr(each, cut) for each in found)
            series.append(Series(f"relay {cut}", variant, rate, "ms", values, to, True))
    return series


def main() -> None:
    show(measure(print), AIMS)


if __name__ == "__main__":
    main()
