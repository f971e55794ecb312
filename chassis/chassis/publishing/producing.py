"""A producer as both kinds of records need it, and its end when a broker does not answer."""

import asyncio
import logging

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from chassis.publishing.topics import LARGEST_LETTER

log = logging.getLogger(__name__)

SEND_WITHIN = 10.0  # seconds; the client itself would try on the same producer for ever


def a_producer(bootstrap: str) -> AIOKafkaProducer:
    """Not used again after a failed send: the broker may answer OutOfOrderSequence for ever."""
    return AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        enable_idempotence=True,
        acks="all",
        linger_ms=0,
        max_request_size=LARGEST_LETTER,
        request_timeout_ms=10_000,
    )


async def closed(producer: AIOKafkaProducer) -> None:
    """What it could not send is sent by the next one; a broker that is away does not hold it up."""
    try:
        await asyncio.wait_for(producer.stop(), 2)
    except (TimeoutError, KafkaError, OSError) as failure:
        log.debug("producer: %s", failure)
        # Its own stop waits for ever on what it cannot send; left alone it would still send it.
        await producer._sender.close()  # noqa: SLF001
        await producer.client.close()
