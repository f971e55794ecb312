"""Facts in great numbers, as a store holds them, its topic shows them and a subscriber tracks them.

Made in one pass, of which a fact takes some 40 us of CPU.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, LiteralString
from uuid import UUID, uuid4

import psycopg
from aiokafka import AIOKafkaProducer

from chassis.consuming.reading import Reader
from chassis.consuming.records import STORED, StoredRow
from chassis.consuming.tracking import Place
from chassis.publishing.producing import Batches
from chassis.publishing.topics import prepare_topics
from chassis.storage.new_facts import new_event_id
from chassis.storage.wire import FIRST_CHAIN, chained, fact_digest
from prm_contracts.facts import Fact, Topic, encode

BATCH_BYTES = 2**18
COPY: LiteralString = f"COPY events ({STORED.replace('::text', '')}, command_place) FROM STDIN"
SEEN: LiteralString = """
INSERT INTO sequences SELECT DISTINCT ON (aggregate_id) %s, aggregate_id, version, chain
FROM events ORDER BY aggregate_id, version DESC"""


def stored(facts: Sequence[Fact], total: int, after: int = 0) -> Iterator[StoredRow]:
    """Aggregate after aggregate, each with these facts, until there are `total` or a few more;
    each fact is of a command of its own. `after`: the last position that is taken.
    """
    data = [encode(fact) for fact in facts]
    begun, actor, positions = datetime(2026, 1, 1, tzinfo=UTC), UUID(int=9), count(after + 1)
    for _ in range(-(-total // len(facts))):
        aggregate_id, chain = uuid4(), FIRST_CHAIN
        for version, (fact, encoded) in enumerate(zip(facts, data, strict=True), 1):
            position, command_id = next(positions), uuid4()
            at = begun + timedelta(milliseconds=position)
            identity: dict[str, Any] = {
                "aggregate_id": aggregate_id,
                "version": version,
                "type": fact.fact_type,
                "event_id": new_event_id(at),
                "occurred_at": at,
                "actor_id": actor,
                "data": encoded,
            }
            chain = chained(chain, fact_digest(**identity))
            yield StoredRow(
                **identity,
                position=position,
                recorded_at=at,
                command_id=command_id,
                request_hash="",
                correlation_id=command_id,
                causation_id=None,
                traceparent="",
                chain=chain,
            )


def fill(dsn: str, bootstrap: str, topic: Topic[Any], rows: Iterable[StoredRow]) -> None:
    """An empty store, and its topic."""
    with psycopg.connect(dsn) as owner:
        owner.execute("TRUNCATE events")  # what this transaction emptied can be filled frozen
        with owner.cursor().copy(f"{COPY} (FREEZE)") as copy:
            asyncio.run(publish(bootstrap, topic, passed(copy, rows)))
        owner.execute("UPDATE relay SET position = (SELECT max(position) FROM events)")


def add(dsn: str, facts: Sequence[Fact], total: int) -> None:
    """Behind what is stored, and not published."""
    with psycopg.connect(dsn) as owner:
        [(head,)] = owner.execute("SELECT max(position) FROM events").fetchall()
        with owner.cursor().copy(COPY) as copy:
            for row in stored(facts, total, after=head):
                copy.write_row((*row, 1))


def passed(copy: psycopg.Copy, rows: Iterable[StoredRow]) -> Iterator[StoredRow]:
    for row in rows:
        copy.write_row((*row, 1))
        yield row


async def publish(bootstrap: str, topic: Topic[Any], rows: Iterable[StoredRow]) -> None:
    await prepare_topics(bootstrap, [topic], [topic.owner])
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap, max_batch_size=BATCH_BYTES
    ) as producer:
        batches = Batches(producer)
        for row in rows:
            await batches.add(topic, row)
        await batches.sent()


async def track(dsn: str, bootstrap: str, subscriber: str, topic: Topic[Any]) -> None:
    """As if the live delivery had taken all of the topic, which is the store's."""
    places = [Place(topic.name, number) for number in range(topic.partitions)]
    reader = Reader(bootstrap)
    bounds = await reader.bounds(places)
    await reader.close()
    with psycopg.connect(dsn) as owner:
        owner.execute(SEEN, (subscriber,))
        for place, (_, end) in bounds.items():
            owner.execute(
                "INSERT INTO tracking VALUES (%s, %s, %s, %s)", (subscriber, *place, end - 1)
            )
