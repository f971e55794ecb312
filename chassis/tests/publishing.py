"""Facts of the sample service, recorded and published; and records that went wrong."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
from aiokafka import AIOKafkaProducer

from chassis.consuming.records import STORED, StoredRow, headers_of
from chassis.publishing.topics import partition_of
from chassis.storage.event_store import PostgresEventStore
from chassis.storage.new_facts import new_event_id
from chassis.storage.wire import chained, fact_digest
from chassis.store import Saved, Store
from chassis.testing import a_command, event_store

from .reactions import Sample, Setup, Tallied, Tally, running, until


async def tally(store: Store, ctx: Any, id: UUID, note: str) -> Saved:
    tally = await store.load_or_new(Tally, id)
    tally.tally(id, note)
    return await store.save(ctx, tally)


async def tallied(
    events: PostgresEventStore, count: int, ids: Sequence[UUID] | None = None
) -> list[UUID]:
    """A command each, of these aggregates in turn; each of another one, if none are named."""
    ids = ids or [uuid4() for _ in range(count)]
    for n in range(count):
        await events.execute(tally, a_command(), ids[n % len(ids)], str(n))
    return [ids[n % len(ids)] for n in range(count)]


async def published(setup: Setup, count: int) -> None:
    async with running(setup.relay()) as relay:
        await until(lambda: relay.published == count)


def rows_of(dsn: str) -> list[StoredRow]:
    with psycopg.connect(dsn) as owner:
        found = owner.execute(
            f"SELECT {STORED} FROM events ORDER BY position".encode(), binary=True
        )
        return [StoredRow(*row) for row in found.fetchall()]


def after(row: StoredRow, note: str = "other") -> StoredRow:
    """A fact of somebody who knows the chain: the next one of this row's aggregate."""
    at = datetime(2027, 3, 1, 10, tzinfo=UTC)
    told: dict[str, Any] = {
        "aggregate_id": row.aggregate_id,
        "version": row.version + 1,
        "type": row.type,
        "event_id": new_event_id(at),
        "occurred_at": at,
        "actor_id": row.actor_id,
        "data": Tallied(order_id=row.aggregate_id, note=note).model_dump_json().encode(),
    }
    chain = chained(row.chain, fact_digest(**told))
    return row._replace(**told, chain=chain, position=row.position + 1, command_id=uuid4())


class Writer:
    """Writes what a relay would, or would not, on the topic of tallies."""

    def __init__(self, producer: AIOKafkaProducer, setup: Setup) -> None:
        self._producer, self._sample = producer, Sample(setup.run)

    def partition(self, row: StoredRow) -> int:
        return partition_of(str(row.aggregate_id).encode(), self._sample.tallies)

    async def write(self, row: StoredRow, partition: int | None = None, **headers: str) -> int:
        """Answers its offset."""
        told = dict(headers_of(row, self._sample.name))
        told |= {name: text.encode() for name, text in headers.items()}
        return await self.raw(
            str(row.aggregate_id).encode(), row.data, list(told.items()), partition
        )

    async def raw(
        self,
        key: bytes | None,
        value: bytes | None,
        headers: list[tuple[str, bytes]],
        partition: int | None = None,
        topic: str | None = None,
    ) -> int:
        sent = await self._producer.send_and_wait(
            topic or self._sample.tallies.name, value, key, partition, headers=headers
        )
        return int(sent.offset)


@asynccontextmanager
async def writer(setup: Setup) -> AsyncIterator[Writer]:
    producer = AIOKafkaProducer(bootstrap_servers=setup.bootstrap)
    await producer.start()
    try:
        yield Writer(producer, setup)
    finally:
        await producer.stop()


@asynccontextmanager
async def store_on(dsn: str) -> AsyncIterator[PostgresEventStore]:
    async with event_store(dsn) as events:
        yield events
