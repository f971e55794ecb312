"""32 writers at a store, alone and beside a worker that takes the facts of twelve topics.

`python -m bench.beside`. The worker, and who tells it those facts, are a process of their own; the
writers append to the worker's own database. What the telling takes counts against the worker.
*beside as much CPU* is a process that only takes what worker and broker took in that round, without
anything that could hold the writers up: what is missing there is missing for want of cores.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import new_class
from typing import Any
from uuid import uuid4

import uvloop

from chassis.clock import RealClock
from chassis.consuming.worker import Worker
from chassis.delivery import project
from chassis.publishing.producing import Batches
from chassis.publishing.topics import prepare_topics
from chassis.storage.event_store import PostgresEventStore
from ops.local import LocalServer
from ops.testing import own_backends
from prm_contracts.facts import Topic

from .delivery import Addresses, Reacting, told, with_database
from .footprint import Footprint, cpu
from .foreign import TELLING, Told, a_producer, first_fact, send
from .relay import a_command, tell_once
from .results import Aim, Series, in_rounds, show

ROUNDS = 3
SOURCES, A_SECOND = 12, 25  # topics, and facts of each
WRITERS, SECONDS = 32, 5
SLICE = 0.005  # seconds
AIMS = (Aim("beside", "beside twelve sources", WRITERS, 0.8, "alone"),)


def sources(run: str) -> list[Topic[Any]]:
    """Of this run only: the worker of another would begin with what was told to the one before."""
    return [
        Topic[Any](
            f"prm.bench-{run}-{number}",
            (new_class(f"Told{number}", (Told,), {"type": f"prm.source-{number}.Told.v1"}),),
            TELLING.owner,
        )
        for number in range(SOURCES)
    ]


async def write(dsn: str) -> float:
    """Commands a second of as many writers at one store."""
    events, until = PostgresEventStore(dsn, lambda: datetime.now(UTC)), time.perf_counter() + 0.5
    await events.open()

    async def write_on() -> int:
        count = 0
        while time.perf_counter() < until:
            await events.execute(tell_once, a_command())
            count += 1
        return count

    await asyncio.gather(*(write_on() for _ in range(WRITERS)))  # warm
    until = time.perf_counter() + SECONDS
    done = await asyncio.gather(*(write_on() for _ in range(WRITERS)))
    await events.close()
    return sum(done) / SECONDS


async def busy(dsn: str, bootstrap: str, run: str) -> None:
    """A worker with a read model of each source, and who tells it facts; until it is killed."""
    topics = sources(run)
    await prepare_topics(bootstrap, topics, [TELLING.owner])
    service = Reacting([project(topic, told) for topic in topics])
    worker = Worker(service, dsn=dsn, bootstrap=bootstrap, clock=RealClock())
    running = asyncio.create_task(worker.run())
    async with a_producer(bootstrap) as producer:
        for topic in topics:
            await send(producer, topic, [first_fact(topic.facts[0](), 1)])
        while (state := await worker.state()).reasons or state.lag:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        print("busy", flush=True)
        begun, position = time.perf_counter(), 1
        while not running.done():
            position += 1
            batches = Batches(producer)  # as a relay sends them
            for topic in topics:
                await batches.add(topic, first_fact(topic.facts[0](), position))
            await batches.sent()
            await asyncio.sleep(begun + position / A_SECOND - time.perf_counter())


def burn(share: float) -> None:
    """Takes so much of a core, in slices as a worker does, until it is killed."""
    print("busy", flush=True)
    begun = time.perf_counter()
    while True:
        while time.process_time() < share * (time.perf_counter() - begun):
            pass
        time.sleep(SLICE)


@contextmanager
def beside(*doing: str) -> Iterator[int]:
    """The pid of a process that is busy with it."""
    command = [sys.executable, "-m", "bench.beside", *doing]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            if not process.stdout or not process.stdout.readline():
                raise RuntimeError("the process beside the writers did not start")
            yield process.pid
        finally:
            process.kill()


def measure(tell: Callable[[str], None]) -> list[Series]:
    with own_backends() as backends:
        at = Addresses(backends.postgres.start(), backends.kafka.start())
        kafka = backends.kafka
        records = {"broker": kafka.home / "pid"} if isinstance(kafka, LocalServer) else {}
        return writers(tell, at, Footprint(records))


def writers(tell: Callable[[str], None], at: Addresses, broker: Footprint) -> list[Series]:
    tell(f"{ROUNDS} rounds of {WRITERS} writers, alone and beside {SOURCES} sources")
    share = 0.0  # of a core

    def alone(dsn: str) -> float:
        return uvloop.run(write(dsn))

    def beside_sources(dsn: str) -> float:
        nonlocal share
        with beside("--busy", dsn, at.bootstrap, uuid4().hex[:8]) as worker:
            before, begun = cpu(worker) + broker.cpu().total(), time.perf_counter()
            rate = alone(dsn)
            used = cpu(worker) + broker.cpu().total() - before
            share = used / (time.perf_counter() - begun)
        tell(f"worker and broker take {share:.2f} of a core")
        return rate

    def beside_as_much(dsn: str) -> float:
        with beside("--burn", str(share)):
            return alone(dsn)

    runs = {
        "alone": with_database(at, alone),
        "beside twelve sources": with_database(at, beside_sources),
        "beside as much CPU": with_database(at, beside_as_much),
    }
    return [
        Series(
            "beside", variant, WRITERS, "commands/s", found, None if variant == "alone" else "alone"
        )
        for variant, found in in_rounds(ROUNDS, runs).items()
    ]


def main() -> None:
    if sys.argv[1:2] == ["--busy"]:
        uvloop.run(busy(*sys.argv[2:5]))
    elif sys.argv[1:2] == ["--burn"]:
        burn(float(sys.argv[2]))
    else:
        show(measure(print), AIMS)


if __name__ == "__main__":
    main()
