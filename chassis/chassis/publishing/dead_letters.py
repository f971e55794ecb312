"""The published copy of what the delivery gave up."""

import asyncio
import logging
from collections.abc import Sequence
from typing import LiteralString, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from chassis.consuming.parking import unpacked
from chassis.publishing.producing import SEND_WITHIN, a_producer, closed
from chassis.publishing.topics import dead_letters_of
from chassis.storage.rounds import Connection

log = logging.getLogger(__name__)

LOOK_EVERY = 1.0  # seconds
# Not many at a time: each may be as large as a topic takes.
UNPOSTED: LiteralString = """
SELECT id, subscriber, topic, partition, "offset", key, value, headers, reason
FROM parking WHERE state = 'dead' AND NOT is_published ORDER BY id LIMIT 20"""
POSTED: LiteralString = "UPDATE parking SET is_published = true WHERE id = ANY (%s::bigint[])"


class Letter(NamedTuple):
    """The record as it came, and why it is dead."""

    id: int
    subscriber: str
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: list[list[str]]
    reason: str


class Letters:
    """They are posted beside the facts, which wait for none of them."""

    def __init__(self, service: str, bootstrap: str) -> None:
        self._service, self._bootstrap = service, bootstrap
        self._look_at = 0.0
        self._posting: asyncio.Task[list[int]] | None = None

    async def look(self, connection: Connection) -> None:
        """Begins to post what is there, once a second; notes what was posted. Does not wait."""
        now = asyncio.get_running_loop().time()
        if self._posting and self._posting.done():
            await connection.now(POSTED, (self._posting.result(),))
            self._posting = None
        elif not self._posting and now >= self._look_at:
            self._look_at = now + LOOK_EVERY
            found = await connection.now(UNPOSTED)
            if letters := [Letter(*row) for row in found.rows]:
                self._posting = asyncio.create_task(self._post(letters))

    async def close(self) -> None:
        """What was posted and not noted comes again."""
        if self._posting:
            self._posting.cancel()
            await asyncio.wait([self._posting])
            self._posting = None

    async def _post(self, letters: Sequence[Letter]) -> list[int]:
        """The numbers of those that are there."""
        posted: list[int] = []
        producer = a_producer(self._bootstrap)
        try:
            await producer.start()
            for letter in letters:
                async with asyncio.timeout(SEND_WITHIN):
                    await self._send(producer, letter)
                posted.append(letter.id)
        except (KafkaError, OSError, TimeoutError) as failure:
            log.warning("dead letters are not posted: %s %s", type(failure).__name__, failure)
        finally:
            await closed(producer)
        return posted

    async def _send(self, producer: AIOKafkaProducer, letter: Letter) -> None:
        why = {
            "prm_reason": letter.reason,
            "prm_subscriber": letter.subscriber,
            "prm_topic": letter.topic,
            "prm_partition": str(letter.partition),
            "prm_offset": str(letter.offset),
        }
        reasons = ((name, text.encode()) for name, text in why.items())
        await producer.send_and_wait(
            dead_letters_of(self._service),
            key=letter.key,
            value=letter.value if letter.value is not None else b"",
            headers=[*unpacked(letter.headers), *reasons],
        )
