"""A producer as both kinds of records need it, and its end when a broker does not answer."""

import asyncio
import logging
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError
from aiokafka.producer.message_accumulator import BatchBuilder

from chassis.consuming.records import StoredRow, headers_of
from chassis.publishing.topics import LARGEST_LETTER, partition_of
from chassis.storage.wire import id_text
from prm_contracts.facts import Topic

log = logging.getLogger(__name__)

SEND_WITHIN = 10.0  # seconds; the client itself would try on the same producer for ever
BATCH_BYTES = 64 * 1024  # of one partition; a larger record is a batch of its own


def a_producer(bootstrap: str) -> AIOKafkaProducer:
    """Not used again after a failed send: the broker may answer OutOfOrderSequence for ever."""
    return AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        enable_idempotence=True,
        acks="all",
        linger_ms=0,
        max_batch_size=BATCH_BYTES,
        max_request_size=LARGEST_LETTER,
        request_timeout_ms=10_000,
    )


class Batches:
    """Facts on their way to their topics, each partition's in their order.

    A send, a future and a callback for each record take twice the CPU of a place in a batch.
    """

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self._filling: dict[tuple[str, int], BatchBuilder] = {}
        self._sent: list[asyncio.Future[Any]] = []

    async def add(self, topic: Topic[Any], row: StoredRow) -> None:
        key, headers = id_text(row.aggregate_id).encode(), headers_of(row, topic.owner)
        place = topic.name, partition_of(key, topic)
        record = {"key": key, "value": row.data, "headers": headers, "timestamp": None}
        batch = self._filling.get(place)
        if batch and batch.append(**record):
            return
        if batch:
            await self._send(place)
        self._filling[place] = self._producer.create_batch()
        self._filling[place].append(**record)

    async def sent(self) -> None:
        """Returns once all are acknowledged. Raises the first KafkaError."""
        for place in [*self._filling]:
            await self._send(place)
        for outcome in await asyncio.gather(*self._sent, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def _send(self, place: tuple[str, int]) -> None:
        topic, partition = place
        batch = self._filling.pop(place)
        if partition not in await self._producer.partitions_for(topic):
            raise UnknownTopicOrPartitionError(f"{topic}/{partition}")
        self._sent.append(await self._producer.send_batch(batch, topic, partition=partition))


async def closed(producer: AIOKafkaProducer) -> None:
    """What it could not send is sent by the next one; a broker that is away does not hold it up."""
    try:
        await asyncio.wait_for(producer.stop(), 2)
    except (TimeoutError, KafkaError, OSError) as failure:
        log.debug("producer: %s", failure)
        # Its own stop waits for ever on what it cannot send; left alone it would still send it.
        await producer._sender.close()  # noqa: SLF001
        await producer.client.close()
