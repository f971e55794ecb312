"""The published copy of what the delivery gave up."""

from typing import Any, LiteralString

from aiokafka import AIOKafkaProducer
from psycopg import AsyncConnection

from chassis.consuming.parking import unpacked
from chassis.publishing.topics import dead_letters_of

UNPUBLISHED: LiteralString = """
SELECT id, subscriber, topic, partition, "offset", key, value, headers, reason
FROM parking WHERE state = 'dead' AND NOT is_published ORDER BY id LIMIT 100"""
PUBLISHED: LiteralString = "UPDATE parking SET is_published = true WHERE id = ANY (%s::bigint[])"


async def publish_dead_letters(
    connection: AsyncConnection[Any], producer: AIOKafkaProducer, service: str
) -> None:
    """A copy for those who watch: the record as it came, and why it is dead."""
    found = await (await connection.execute(UNPUBLISHED, prepare=True)).fetchall()
    for _, subscriber, topic, partition, offset, key, value, headers, reason in found:
        why = {
            "prm_reason": reason,
            "prm_subscriber": subscriber,
            "prm_topic": topic,
            "prm_partition": str(partition),
            "prm_offset": str(offset),
        }
        await producer.send_and_wait(
            dead_letters_of(service),
            key=key,
            value=value if value is not None else b"",
            headers=[*unpacked(headers), *((name, text.encode()) for name, text in why.items())],
        )
    if found:
        await connection.execute(PUBLISHED, ([row[0] for row in found],))
