"""A service with reactions, on topics of its own, and what the tests of the delivery see of it.

Run as a module it is a worker, to be killed: `python reactions.py '<Setup as JSON>'`.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import UUID, uuid4, uuid5

import psycopg
from aiokafka import AIOKafkaProducer

from chassis.aggregates import Aggregate
from chassis.consuming.parking import Timing
from chassis.consuming.records import Record, StoredRow, headers_of
from chassis.consuming.worker import Worker
from chassis.context import Context
from chassis.delivery import (
    LIFTED,
    Due,
    Errand,
    Outside,
    Pending,
    TryLater,
    deadline,
    outbound,
    project,
    whenever,
)
from chassis.publishing.relay import Relay
from chassis.sql import Statement
from chassis.storage.event_store import PostgresEventStore
from chassis.storage.new_facts import new_event_id
from chassis.storage.wire import FIRST_CHAIN, chained, fact_digest
from chassis.store import Recorded, Saved, Store
from chassis.telemetry.sight import Sight
from chassis.testing import a_command
from prm_contracts.facts import Basis, Fact, Topic, encode

MODELS = """
CREATE TABLE totals (counter_id uuid PRIMARY KEY, total integer NOT NULL, times integer NOT NULL);
CREATE TABLE journal (place bigint GENERATED ALWAYS AS IDENTITY, counter_id uuid, note text)"""


class Ordered(Fact, type="prm.order.Ordered.v1"):
    """Of another service: an order to count. `note` tells the policy what to do."""

    note: str = ""
    due_at: datetime | None = None
    based_on: tuple[Basis, ...] = ()


class OrderNamed(Fact, type="prm.name.OrderNamed.v1"):
    """Of a third one; orders are based on it."""

    name: str = ""


class Tallied(Fact, type="prm.tally.Tallied.v1"):
    order_id: UUID
    note: str


class Tally(Aggregate[Tallied]):
    notes: tuple[str, ...] = ()

    def tally(self, order_id: UUID, note: str) -> None:
        self.record(Tallied(order_id=order_id, note=note))

    def apply(self, fact: Tallied) -> None:
        self.notes = (*self.notes, fact.note)


FAILING: set[str] = set()  # notes at which the policy fails
HOT_FOR = 0.06  # seconds; commands that come 20 times a second and more always fall into it
HOT = uuid5(UUID(int=0), "hot")


async def tally_order(store: Store, ctx: Context, ordered: Recorded[Ordered]) -> None:
    note = ordered.fact.note
    if note in FAILING or note == "never":
        raise ValueError(f"no tally for {note}")
    if note == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if note == "slow":
        await asyncio.sleep(30)
    tally = await store.load_or_new(Tally, HOT if note == "hot" else ordered.aggregate_id)
    if note == "hot":
        await asyncio.sleep(HOT_FOR)
    if note == "once" and note in tally.notes:
        raise ValueError("it was tallied before")
    tally.tally(ordered.aggregate_id, note)
    await store.save(ctx, tally)


async def remind(store: Store, ctx: Context, due: Due) -> None:
    tally = await store.load_or_new(Tally, due.aggregate_id)
    if "fatal when due" in tally.notes:
        os.kill(os.getpid(), signal.SIGKILL)
    if (note := f"due {due.due_at:%d.%m.}") in tally.notes:
        raise ValueError("it was reminded of before")
    tally.tally(due.aggregate_id, note)
    await store.save(ctx, tally)


def is_delivered(recorded: Recorded[Ordered]) -> bool | None:
    """Orders whose note begins so go out of the house; `recall` ends that."""
    if recorded.fact.note == "recall":
        return False
    return True if recorded.fact.note.startswith("deliver") else None


class World:
    """The outside world: `tells` what it does at each errand; `errands`, those that came."""

    def __init__(self) -> None:
        self.errands: list[Errand] = []
        self.is_away, self.refusals, self.is_slow = False, 0, asyncio.Event()
        self.is_slow.set()

    async def take(self, errand: Errand) -> str:
        self.errands.append(errand)
        if self.is_away:
            raise TryLater("nobody answers", concerns_all=True)
        if self.refusals:
            self.refusals -= 1
            raise TryLater("busy")
        await self.is_slow.wait()
        return f"delivered to {errand.aggregate_id}"


WORLD = World()


async def deliver(outside: Outside, errand: Errand) -> str:
    return await WORLD.take(errand)


async def note_delivery(store: Store, ctx: Context, errand: Errand, outcome: str) -> None:
    tally = await store.load_or_new(Tally, errand.aggregate_id)
    if outcome not in tally.notes:
        tally.tally(errand.aggregate_id, outcome)
        await store.save(ctx, tally)


def journal(recorded: Recorded[Any]) -> Statement | None:
    match recorded.fact:
        case Ordered(note=note):
            if note == "unwritable":
                return Statement("INSERT INTO nowhere VALUES (%(note)s)", {"note": note})
            values = {"counter_id": recorded.aggregate_id, "note": note}
            return Statement(
                "INSERT INTO journal (counter_id, note) VALUES (%(counter_id)s, %(note)s)", values
            )
        case _:
            return None


def names(recorded: Recorded[Any]) -> Statement | None:
    values = {"counter_id": recorded.aggregate_id, "note": f"name {recorded.fact.name}"}
    return Statement(
        "INSERT INTO journal (counter_id, note) VALUES (%(counter_id)s, %(note)s)", values
    )


def reminder(recorded: Recorded[Any]) -> Pending | None:
    match recorded.fact:
        case Ordered(note="lift"):
            return LIFTED
        case Ordered(due_at=due_at) if due_at is not None:
            return Pending(due_at)
        case _:
            return None


class Sample:
    """The service `sample-<run>`: it reads orders and names of others, and writes tallies."""

    policies: Any
    projections: Any
    deadlines: Any
    outbound: Any

    def __init__(self, run: str) -> None:
        self.name = f"sample-{run}"
        Topic.carrying.clear()
        self.orders = Topic[Ordered](f"prm.orders-{run}", (Ordered,), f"other-{run}", 2)
        self.names = Topic[OrderNamed](f"prm.names-{run}", (OrderNamed,), f"other-{run}", 1)
        self.tallies = Topic[Tallied](f"prm.tallies-{run}", (Tallied,), self.name, 2)
        self.topics = (self.tallies,)
        self.policies = (whenever(Ordered, tally_order, key="tally-order"),)
        self.projections = (project(self.orders, journal), project(self.names, names))
        self.deadlines = (deadline(self.orders, reminder, remind, key="remind"),)
        self.outbound = (
            outbound(self.orders, is_delivered, deliver, note_delivery, key="deliver"),
        )

    @property
    def all_topics(self) -> tuple[Topic[Any], ...]:
        return (self.orders, self.names, self.tallies)


class StandingClock:
    def __init__(self, at: datetime | None = None) -> None:
        self.at = at or datetime(2027, 3, 1, 9, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at


class Stranger:
    """Another service as its topics show it: records without a store."""

    def __init__(self, bootstrap: str, topic: Topic[Any]) -> None:
        self._topic = topic
        self._producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
        self._position = 0
        self._chains: dict[UUID, tuple[int, bytes]] = {}

    async def __aenter__(self) -> Self:
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    def row(self, aggregate_id: UUID, fact: Fact, *, skip: int = 0) -> StoredRow:
        """The next fact of the aggregate, as its service would store it."""
        version, previous = self._chains.get(aggregate_id, (0, FIRST_CHAIN))
        self._position += 1
        version += 1 + skip
        at = datetime(2027, 3, 1, 8, tzinfo=UTC) + timedelta(seconds=self._position)
        identity: dict[str, Any] = {
            "aggregate_id": aggregate_id,
            "version": version,
            "type": fact.fact_type,
            "event_id": new_event_id(at),
            "occurred_at": at,
            "actor_id": UUID(int=9),
            "data": encode(fact),
        }
        chain = chained(previous, fact_digest(**identity))
        self._chains[aggregate_id] = (version, chain)
        return StoredRow(
            **identity,
            position=self._position,
            recorded_at=at,
            command_id=uuid4(),
            request_hash="",
            correlation_id=uuid4(),
            causation_id=None,
            traceparent="",
            chain=chain,
        )

    async def say(self, aggregate_id: UUID, *facts: Fact) -> list[StoredRow]:
        rows = [self.row(aggregate_id, fact) for fact in facts]
        await self.send(*rows)
        return rows

    async def send(self, *rows: StoredRow) -> None:
        for row in rows:
            await self.send_raw(
                str(row.aggregate_id).encode(), row.data, headers_of(row, self._topic.owner)
            )

    async def send_raw(
        self, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
    ) -> None:
        await self._producer.send_and_wait(self._topic.name, key=key, value=value, headers=headers)


@dataclass
class Setup:
    """What a worker needs to know; goes to a subprocess as JSON."""

    run: str
    dsn: str
    bootstrap: str
    retry_after: tuple[float, ...] = (0.2, 0.2, 0.2)
    time_limit: float = 5.0
    clock: StandingClock = field(default_factory=StandingClock)
    sight: Sight = field(default_factory=Sight)

    def worker(self, instance: str = "1") -> Worker:
        return Worker(
            Sample(self.run),
            dsn=self.dsn,
            bootstrap=self.bootstrap,
            clock=self.clock,
            instance=instance,
            timing=Timing(tuple(self.retry_after)),
            time_limit=self.time_limit,
            sight=self.sight,
        )

    def relay(self) -> Relay:
        sample = Sample(self.run)
        return Relay(sample.name, self.dsn, self.bootstrap, sample.topics, sight=self.sight)

    def as_json(self) -> str:
        return json.dumps([self.run, self.dsn, self.bootstrap, self.retry_after])


@asynccontextmanager
async def running(it: Any) -> AsyncIterator[Any]:
    """A worker or a relay, stopped on leaving."""
    task = asyncio.create_task(it.run())
    try:
        yield it
    finally:
        stopped = it.stop()
        if stopped is not None:
            await stopped
        await asyncio.wait_for(task, 20)


async def settled(setup: Setup, records: list[Record]) -> Worker:
    """As Faust hands them over that begins where Kafka was told."""
    worker = setup.worker()
    async with asyncio.timeout(20):
        await worker.committer.settle(records)
    await ended(worker)
    return worker


async def ended(worker: Worker) -> None:
    """One that never ran."""
    await worker.committer.sessions.close()
    await worker.close()


async def until(condition: Callable[[], Any], within: float = 30.0) -> Any:
    """Waits for it to hold, or to answer something; `condition` may be a coroutine function."""
    async with asyncio.timeout(within):
        while True:
            answer = condition()
            if isinstance(answer, Awaitable):
                answer = await answer
            if answer:
                return answer
            await asyncio.sleep(0.02)


def notes_of(dsn: str, order_id: UUID | None = None) -> list[str]:
    """What the policy has tallied, in the order of the store."""
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT convert_from(data, 'UTF8') FROM events"
            " WHERE type = 'prm.tally.Tallied.v1' ORDER BY position"
        ).fetchall()
    facts = [Tallied.model_validate_json(row[0]) for row in rows]
    return [fact.note for fact in facts if order_id in (None, fact.order_id)]


def journal_of(dsn: str, order_id: UUID | None = None) -> list[str]:
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT note FROM journal WHERE %(id)s::uuid IS NULL OR counter_id = %(id)s"
            " ORDER BY place",
            {"id": order_id},
        ).fetchall()
    return [row[0] for row in rows]


async def tally(store: Store, ctx: Any, id: UUID, note: str) -> Saved:
    tally = await store.load_or_new(Tally, id)
    tally.tally(id, note)
    return await store.save(ctx, tally)


async def tallied(events: PostgresEventStore, count: int, ids: list[UUID] | None = None) -> None:
    ids = ids or [uuid4() for _ in range(7)]
    for n in range(count):
        await events.execute(tally, a_command(), ids[n % len(ids)], str(n))


async def main(setup: Setup) -> None:
    worker = setup.worker()
    relay = setup.relay()
    await asyncio.gather(worker.run(), relay.run())


if __name__ == "__main__":
    asyncio.run(main(Setup(*json.loads(sys.argv[1]))))
