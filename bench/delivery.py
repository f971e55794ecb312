"""The delivery: facts that are told at once, projected, and answered by a policy that records one.

`python -m bench.delivery`. *plain* reads the same topic by aiokafka's `getmany` and runs the same
SQL by psycopg: each fact's statement, one transaction a batch, its offsets in it. Rates count from
the first tenth on, so that joining a group is left out.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import uuid4

import psycopg
import uvloop
from aiokafka import AIOKafkaConsumer
from psycopg.rows import dict_row, tuple_row

from chassis.clock import RealClock
from chassis.consuming.worker import Worker
from chassis.context import Context
from chassis.delivery import Policy, Projection, project, whenever
from chassis.publishing.topics import prepare_topics
from chassis.sql import Statement
from chassis.storage.migrate import migrate
from chassis.storage.new_facts import APPEND, append_arguments
from chassis.storage.window import Window
from chassis.store import Recorded, Store
from ops.testing import a_database, own_backends
from prm_contracts.facts import Topic

from .foreign import TELLING, Told, a_producer, a_reader, first_fact, send
from .relay import Teller, a_command
from .results import Aim, Series, in_rounds, show

FACTS, AT_ONCE = 10_000, 500
ROUNDS = 3
AIMS = (
    Aim("delivery projections", "delivery", FACTS, 0.5, "plain"),
    Aim("delivery policies", "delivery", FACTS, 0.5, "plain"),
)
TABLE = "CREATE TABLE told (id uuid PRIMARY KEY, note text NOT NULL, version integer NOT NULL)"
INSERT = (
    "INSERT INTO told (id, note, version) VALUES (%(id)s, %(note)s, %(version)s)"
    " ON CONFLICT DO NOTHING"
)
PLAIN_OFFSETS = "CREATE TABLE plain (partition integer PRIMARY KEY, at bigint NOT NULL)"
MOVE = "INSERT INTO plain VALUES (%s, %s) ON CONFLICT (partition) DO UPDATE SET at = excluded.at"


React = Callable[[Topic[Any]], "Reacting"]
Take = Callable[[Any, list[Any]], Awaitable[None]]


class Addresses(NamedTuple):
    admin: str
    bootstrap: str


class Reacting:
    """A service with one reaction to each of these topics."""

    deadlines = outbound = topics = ()

    def __init__(
        self, projections: Sequence[Projection] = (), policies: Sequence[Policy] = ()
    ) -> None:
        self.name = f"bench-{uuid4().hex[:8]}"  # its group: each run reads from the beginning
        self.projections, self.policies = tuple(projections), tuple(policies)


def told(recorded: Recorded[Any]) -> Statement:
    values = {"id": recorded.aggregate_id, "note": recorded.fact.note, "version": recorded.version}
    return Statement(INSERT, values)


async def retell(store: Store, ctx: Context, _: object) -> None:
    teller = await store.load_or_new(Teller, ctx.new_id("teller"))
    teller.tell()
    await store.save(ctx, teller)


async def new_topic(bootstrap: str) -> Topic[Any]:
    Topic.carrying.pop(Told, None)
    topic = Topic[Any](f"prm.bench-{uuid4().hex[:8]}", (Told,), TELLING.owner)
    await prepare_topics(bootstrap, [topic], [topic.owner])
    return topic


async def delivered(dsn: str, bootstrap: str, react: React) -> float:
    """Facts a second."""
    topic = await new_topic(bootstrap)
    service = react(topic)
    worker = Worker(service, dsn=dsn, bootstrap=bootstrap, clock=RealClock())
    running = asyncio.create_task(worker.run())
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as watching:

        async def taken() -> int:
            found = await watching.execute(
                'SELECT coalesce(sum("offset" + 1), 0) FROM tracking WHERE topic = %s',
                (topic.name,),
            )
            return int((await found.fetchall())[0][0])

        async with a_producer(bootstrap) as producer:
            await send(producer, topic, [first_fact(Told(), 1)])
        while not await taken():  # noqa: ASYNC110 - until it has joined its group
            await asyncio.sleep(0.05)
        telling = asyncio.create_task(told_facts(bootstrap, topic))
        rate = await rate_of(taken, 1)
    await telling
    await worker.stop()
    await running
    return rate


async def rate_of(taken: Callable[[], Awaitable[int]], before: int) -> float:
    """From when a tenth is taken until all is."""
    async with asyncio.timeout(300):
        while (first := await taken() - before) < FACTS / 10:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        begun = time.perf_counter()
        while await taken() - before < FACTS:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return (FACTS - first) / (time.perf_counter() - begun)


async def plainly(at: Addresses, dsn: str, act: Take) -> float:
    """`act`: what is done about a batch of records, on an open transaction."""
    done = 0

    async def taken() -> int:
        return done

    async def take(reader: AIOKafkaConsumer, connection: Any) -> None:
        nonlocal done
        while done < FACTS:
            batches = await reader.getmany(timeout_ms=200, max_records=AT_ONCE)
            for place, records in batches.items():
                await act(connection, records)
                await connection.execute(MOVE, (place.partition, records[-1].offset))
                await connection.commit()
                done += len(records)

    topic = await new_topic(at.bootstrap)
    async with (
        a_reader(at.bootstrap, topic) as reader,
        await psycopg.AsyncConnection.connect(dsn) as connection,
    ):
        taking = asyncio.create_task(take(reader, connection))
        telling = asyncio.create_task(told_facts(at.bootstrap, topic))
        rate = await rate_of(taken, 0)
        await asyncio.gather(taking, telling)
    return rate


async def project_plainly(connection: Any, records: list[Any]) -> None:
    for record in records:
        note = Told.model_validate_json(record.value).note
        values = {"id": record.key.decode(), "note": note, "version": 1}
        await connection.execute(INSERT, values, prepare=True)


async def answer_plainly(connection: Any, records: list[Any]) -> None:
    window = Window(_Reads(connection))
    for record in records:
        Told.model_validate_json(record.value)
        await retell(window, a_command(), record)
    values = append_arguments(window.commands.values(), datetime.now(UTC), all_or_none=True)
    await connection.execute(APPEND, values, prepare=True)


class _Reads:
    """By psycopg, a statement after the other."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def fetch(self, query: Any, values: Any) -> Any:
        return await self._read(tuple_row, query, values)

    async def dicts(self, query: Any, values: Any) -> Any:
        return await self._read(dict_row, query, values)

    async def _read(self, row: Any, query: Any, values: Any) -> Any:
        cursor = self._connection.cursor(row_factory=row, binary=True)
        found = await cursor.execute(query, values, prepare=True)
        return await found.fetchall()


def with_database(at: Addresses, run: Callable[[str], float]) -> Callable[[], float]:
    """In a database of its own, which is as empty for each variant."""

    def ran() -> float:
        with a_database(at.admin) as dsn:
            migrate(dsn)
            with psycopg.connect(dsn) as owner:
                owner.execute(TABLE)
                owner.execute(PLAIN_OFFSETS)
            return run(dsn)

    return ran


def rates(tell: Callable[[str], None], at: Addresses) -> list[Series]:
    def deliver(dsn: str, react: React) -> float:
        return uvloop.run(delivered(dsn, at.bootstrap, react))

    def plain(dsn: str, take: Take) -> float:
        return uvloop.run(plainly(at, dsn, take))

    def projecting(topic: Topic[Any]) -> Reacting:
        return Reacting([project(topic, told)])

    def answering(_: object) -> Reacting:
        return Reacting((), [whenever(Told, retell, key="retell")])

    both: dict[str, dict[str, Callable[[], float]]] = {
        "delivery projections": {
            "plain": with_database(at, lambda dsn: plain(dsn, project_plainly)),
            "delivery": with_database(at, lambda dsn: deliver(dsn, projecting)),
        },
        "delivery policies": {
            "plain": with_database(at, lambda dsn: plain(dsn, answer_plainly)),
            "delivery": with_database(at, lambda dsn: deliver(dsn, answering)),
        },
    }
    series = []
    for bench, runs in both.items():
        tell(f"{ROUNDS} rounds of {bench}")
        for variant, found in in_rounds(ROUNDS, runs).items():
            to = None if variant == "plain" else "plain"
            series.append(Series(bench, variant, FACTS, "facts/s", found, to))
    return series


async def told_facts(bootstrap: str, topic: Topic[Any]) -> None:
    async with a_producer(bootstrap) as producer:
        for first in range(0, FACTS, AT_ONCE):
            rows = [first_fact(Told(), first + number + 1) for number in range(AT_ONCE)]
            await send(producer, topic, rows)


def measure(tell: Callable[[str], None]) -> list[Series]:
    with own_backends() as backends:
        at = Addresses(backends.postgres.start(), backends.kafka.start())
        return rates(tell, at)


def main() -> None:
    show(measure(print), AIMS)


if __name__ == "__main__":
    main()
