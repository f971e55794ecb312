"""All figures of the platform in some minutes: ratios and sizes, to be read, not to pass or fail.

`python -m bench.smoke [--json FILE]` starts a platform of its own and leaves nothing behind. Each
ratio is against a peer or a limit of the same run, on the same server; an aim says so.
"""

import argparse
import asyncio
import logging
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg
import uvloop

from chassis.storage.migrate import migrate
from ops import clock
from ops.platform import Platform
from ops.testing import a_database, own_platform

from .alone import ApiOnly
from .append import pgbench, store
from .arrivals import APPROVED, PLAIN, REGISTERED, Arrivals
from .figures import Figure, as_table, machine, p50_p99, write_json
from .footprint import Footprint, minus, records_of
from .load import DEAL, Deals, Sent

WRITERS = 32
ROUNDS = 2  # of pgbench and the store, by turns
COMMANDS = 1000  # told to the API alone
RATES = ((10, 15.0), (50, 15.0))  # deals a second, seconds
IDLE = 4.0  # seconds
SETTLED = 180.0  # seconds that a backlog may take on a busy machine
BEGUN = time.monotonic()


def tell(line: str) -> None:
    print(f"{time.monotonic() - BEGUN:6.1f} s  {line}", flush=True)


class Run:
    """The figures of one platform, in the order of its methods."""

    def __init__(self, platform: Platform) -> None:
        self.platform, self.footprint = platform, Footprint(records_of(platform))
        self.floor = 0.0  # rows a second of pgbench

    def figures(self) -> Iterator[Figure]:
        at_start = self.footprint.memory()
        yield from self.appends()
        tell("a partner, a product and a territory")
        self.deals = Deals(self.platform)
        yield from self.api_alone()
        yield from uvloop.run(self.arrivals())
        for rate, seconds in RATES:
            yield from self.notifications(rate, seconds)
        yield from self.memory(at_start)

    def appends(self) -> Iterator[Figure]:
        """Of the event store by itself, in this process."""
        tell(f"{ROUNDS} rounds of pgbench and of the event store, {WRITERS} writers")
        floors, stores, client = [], [], []
        with a_database(str(self.platform.state.postgres)) as dsn:
            migrate(dsn)
            with psycopg.connect(dsn) as owner:
                owner.execute("CREATE TABLE floor (id bigserial PRIMARY KEY, data text NOT NULL)")
            for _ in range(ROUNDS):
                floors.append(pgbench(dsn, WRITERS).a_second)
                ours = uvloop.run(store(dsn, WRITERS))
                stores.append(ours.a_second)
                client.append(ours.cpu_us)
        self.floor = max(floors)
        peer = f"pgbench, one row, {WRITERS} clients"
        yield Figure(f"event store, {WRITERS} writers", max(stores), "commands/s", peer, self.floor)
        yield Figure("event store, client CPU", min(client), "us/command")

    def api_alone(self) -> Iterator[Figure]:
        """Registering a deal over HTTP, deal-svc being its API only; the facts wait meanwhile."""
        platform, service = self.platform, self.platform.services[DEAL]
        platform.stop_service(DEAL)
        api = ApiOnly(service.service, service.home, platform.state, None, bound=True)
        api.start()
        try:
            uvloop.run(self.told(WRITERS, WRITERS))  # its first requests build what all others use
            tell(f"{COMMANDS} deals by {WRITERS} writers at the API alone")
            idle, before, begun = self.footprint.idle(IDLE), self.footprint.cpu(), time.monotonic()
            uvloop.run(self.told(WRITERS, COMMANDS))
            took = time.monotonic() - begun
            used = minus(minus(self.footprint.cpu(), before), idle, took)
        finally:
            api.stop()
        peer = f"pgbench, one row, {WRITERS} clients"
        yield Figure(f"deals, {WRITERS} writers", COMMANDS / took, "commands/s", peer, self.floor)
        own, database = (used[name] / COMMANDS * 1000 for name in (DEAL, "postgres"))
        yield Figure("CPU of a command, API and database", own + database, "ms", "aim", 1.6)
        yield Figure("  of it the API", own, "ms")
        yield Figure("  of it the database", database, "ms")
        begun = time.monotonic()
        platform.start_service(DEAL)
        tell("what was left undone is worked off")
        clock.settle(platform.client, list(platform.services), SETTLED)
        tell(f"start and backlog of {COMMANDS} deals: {time.monotonic() - begun:.0f} s")

    async def told(self, writers: int, deals: int) -> list[Sent]:
        async with self.deals as market:
            return await market.by_writers(writers, deals)

    async def arrivals(self) -> list[Figure]:
        """After the answer: on the topic, and in the read model; plain records go beside."""
        rate, seconds = RATES[0]
        tell(f"{rate} deals a second: when they arrive at a reader and in the read model")
        numbers, plain, consumed, read = count(), list[float](), list[float](), list[float]()
        async with Arrivals(str(self.platform.state.kafka)) as arrivals, self.deals as market:

            async def follow(sent: Sent) -> None:
                read.append(await market.read(sent) - sent.answered)
                consumed.append(await arrivals.of(REGISTERED, sent.deal_id) - sent.answered)
                key = str(next(numbers))
                begun = await arrivals.produce(key)
                plain.append(await arrivals.of(PLAIN, key) - begun)

            begun = time.perf_counter()
            following = []
            for number in range(round(rate * seconds)):
                due = begun + number / rate
                await asyncio.sleep(due - time.perf_counter())
                following.append(asyncio.create_task(follow(await market.register(due))))
            await asyncio.gather(*following)
        peers = p50_p99("plain produce to consume", plain)
        return [
            *peers,
            *p50_p99("commit to consumer", [max(0.0, each) for each in consumed], peers),
            *p50_p99("commit to read model", read, peers),
        ]

    def notifications(self, rate: int, seconds: float) -> Iterator[Figure]:
        """From when a deal was due to its seller's notification that it is approved."""
        tell(f"{rate} deals a second for {seconds:.0f} s, each up to its notification")
        idle, before = self.footprint.idle(IDLE), self.footprint.cpu()
        begun = time.monotonic()
        latencies, kept = uvloop.run(self.notified(rate, seconds))
        clock.settle(self.platform.client, list(self.platform.services), SETTLED)
        used = minus(minus(self.footprint.cpu(), before), idle, time.monotonic() - begun)
        name = f"register to notification, {rate}/s"
        yield from p50_p99(name, latencies)
        yield Figure("  accepted", kept, "deals/s", "asked", rate)
        each = {name: cpu / len(latencies) * 1000 for name, cpu in used.items()}
        total = sum(each.values())
        yield Figure(f"CPU up to the notification, {rate}/s", total, "ms", "aim", 4.4)
        for name, cpu in sorted(each.items()):
            yield Figure(f"  of it {name}", cpu, "ms")
        yield Figure("  beside it, idle", sum(idle.values()) * 1000, "ms/s")

    async def notified(self, rate: int, seconds: float) -> tuple[list[float], float]:
        async with Arrivals(str(self.platform.state.kafka)) as arrivals, self.deals as market:
            sent = await market.at_rate(rate, seconds)
            kept = len(sent) / (max(each.answered for each in sent) - sent[0].scheduled)
            return [
                await arrivals.of(APPROVED, each.deal_id) - each.scheduled for each in sent
            ], kept

    def memory(self, at_start: dict[str, float]) -> Iterator[Figure]:
        for name, size in self.footprint.memory().items():
            aim = ("aim", 80.0) if name in self.platform.services else ()
            yield Figure(f"memory of {name}, at the start", at_start[name], "MiB PSS")
            yield Figure(f"memory of {name}, after the load", size, "MiB PSS", *aim)
        total = sum(self.footprint.memory().values())
        yield Figure("memory of the whole platform", total, "MiB PSS", "aim", 1536.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    asked = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # says that a new topic has no leader
    about = machine()
    tell(", ".join(f"{name} {value}" for name, value in about.items()))
    with own_platform() as platform:
        tell("the platform is up")
        figures = list(Run(platform).figures())
    print(f"\n{as_table(figures)}\n")
    if asked.json:
        write_json(asked.json, about, figures)
    print(
        f"bench-smoke: {len(figures)} figures in {time.monotonic() - BEGUN:.0f} s; none can fail."
    )


if __name__ == "__main__":
    main()
