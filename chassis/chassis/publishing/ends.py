"""The relay's check at its start: whether the topics know facts that the store does not."""

from collections.abc import Sequence
from typing import Any, LiteralString

from aiokafka import AIOKafkaConsumer, TopicPartition
from psycopg import AsyncConnection

from chassis.consuming.records import Envelope, Record, Untrustworthy, plain_headers, read_envelope
from prm_contracts.facts import Topic

LOOK_BACK = 100  # records, where the last ones of a partition are foreign
WITHIN_MS = 2000

INTERRUPTED: LiteralString = "SELECT EXISTS (SELECT FROM restorations WHERE ended_at IS NULL)"


class Ahead(Exception):
    """A topic holds a fact that the store does not: the database was set back."""


async def expect_restored(connection: AsyncConnection[Any]) -> None:
    """Raises Ahead."""
    found = await connection.execute(INTERRUPTED)
    if (await found.fetchall())[0][0]:
        raise Ahead("a restore of the database was interrupted")


async def compare_ends(
    connection: AsyncConnection[Any], bootstrap: str, service: str, topics: Sequence[Topic[Any]]
) -> None:
    """Raises Ahead, KafkaError."""
    reader = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    try:
        await reader.start()
        places = [TopicPartition(t.name, number) for t in topics for number in range(t.partitions)]
        reader.assign(places)
        ends = await reader.end_offsets(places)
        for place in places:
            last = await _last_own(reader, place, ends[place], service)
            if last is not None:
                await _compare(connection, last)
    finally:
        await reader.stop()


async def _last_own(
    reader: AIOKafkaConsumer, place: TopicPartition, end: int, service: str
) -> Envelope | None:
    at = end
    while at > 0 and end - at < LOOK_BACK:
        start, stop = max(0, at - 10), at
        reader.seek(place, start)
        own: list[Envelope] = []
        reached = start
        while reached < stop:
            found = (await reader.getmany(place, timeout_ms=WITHIN_MS, max_records=100)).get(place)
            if not found:
                return own[-1] if own else None
            for each in found:
                reached = each.offset + 1
                headers = plain_headers(each.headers)
                record = Record(
                    place.topic, place.partition, each.offset, each.key, each.value, headers
                )
                try:
                    own.append(read_envelope(record, service))
                except Untrustworthy:
                    continue
        if own:
            return own[-1]
        at = start
    return None


async def _compare(connection: AsyncConnection[Any], last: Envelope) -> None:
    found = await connection.execute(
        "SELECT position, event_id, chain FROM events WHERE aggregate_id = %s AND version = %s",
        (last.aggregate_id, last.version),
        binary=True,
    )
    row = await found.fetchone()
    if row != (last.position, last.event_id, last.chain):
        raise Ahead(
            f"{last.record.topic} holds a fact of position {last.position} that the database lacks"
        )
