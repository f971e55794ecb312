"""Facts of another service as its topics show them, and the reading of topics, for benches."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from chassis.consuming.records import StoredRow, headers_of
from chassis.storage.new_facts import new_event_id
from chassis.storage.wire import FIRST_CHAIN, chained, fact_digest, id_text
from prm_contracts.facts import Fact, Topic, encode

PAYLOAD = "x" * 389  # 400 bytes as JSON
ANYONE = UUID(int=7)


class Told(Fact, type="prm.told.Told.v1"):
    note: str = PAYLOAD


TELLING = Topic[Told]("prm.bench-told", (Told,), "bench-svc")


def first_fact(fact: Fact, position: int) -> StoredRow:
    """As its service would store it, of an aggregate that has no other."""
    at = datetime.now(UTC)
    identity: dict[str, Any] = {
        "aggregate_id": uuid4(),
        "version": 1,
        "type": fact.fact_type,
        "event_id": new_event_id(at),
        "occurred_at": at,
        "actor_id": ANYONE,
        "data": encode(fact),
    }
    return StoredRow(
        **identity,
        position=position,
        recorded_at=at,
        command_id=uuid4(),
        request_hash="",
        correlation_id=uuid4(),
        causation_id=None,
        traceparent="",
        chain=chained(FIRST_CHAIN, fact_digest(**identity)),
    )


@asynccontextmanager
async def a_producer(bootstrap: str) -> AsyncIterator[AIOKafkaProducer]:
    """As the relay's."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, enable_idempotence=True, acks="all", linger_ms=0
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def send(producer: AIOKafkaProducer, topic: Topic[Any], rows: Iterable[StoredRow]) -> None:
    """Returns once all are acknowledged."""
    sent = [
        await producer.send(
            topic.name,
            key=id_text(row.aggregate_id).encode(),
            value=row.data,
            headers=headers_of(row, topic.owner),
        )
        for row in rows
    ]
    for each in sent:
        await each


@asynccontextmanager
async def a_reader(
    bootstrap: str, topic: Topic[Any], *, from_the_start: bool = False
) -> AsyncIterator[AIOKafkaConsumer]:
    """Of all partitions; what is sent from now on is not missed."""
    reader = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    await reader.start()
    try:
        places = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
        reader.assign(places)
        await (reader.seek_to_beginning() if from_the_start else reader.seek_to_end())
        for place in places:
            await reader.position(place)
        yield reader
    finally:
        await reader.stop()
