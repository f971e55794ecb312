"""What lies on the topics, as any integrator reads it: CloudEvents 1.0 in Kafka's binary mode."""

import asyncio
import json
import threading
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

T = TypeVar("T")
FORGED_FROM = 900_000_000  # positions that no service reaches here: a story that forges uses them
WITHIN = 60  # seconds that a reading may take; a broker that was frozen needs some


@dataclass(frozen=True)
class Event:
    """One record. `headers` as text; a poisoned record may lack any of them."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, str]

    @property
    def name(self) -> str:
        """DealRegistered for prm.deal.DealRegistered.v1."""
        return self.headers.get("ce_type", "..").split(".")[-2]

    @property
    def id(self) -> str:
        return self.headers["ce_id"]

    @property
    def subject(self) -> str:
        return self.headers.get("ce_subject", "")

    @property
    def version(self) -> int:
        return int(self.headers["ce_sequence"])

    @property
    def position(self) -> int:
        return int(self.headers["ce_position"])

    @property
    def is_genuine(self) -> bool:
        position = self.headers.get("ce_position", "")
        return position.isdecimal() and int(position) < FORGED_FROM

    @property
    def fact(self) -> dict[str, Any]:
        return dict(json.loads(self.value or b"{}"))


class Topics:
    """Reads topics from the beginning, again and again; what was read is kept.

    aiokafka lives on a loop of its own thread, so that a story is told in plain calls.
    """

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="topics", daemon=True)
        self._thread.start()
        self._readers: dict[str, _Reader] = {}
        self._producer: AIOKafkaProducer | None = None

    def records(self, topic: str) -> list[Event]:
        """All that lies there now, repeats included, in order of each partition."""
        return self._wait(self._read(topic))

    def facts(self, topic: str, subject: str | None = None) -> list[Event]:
        """As a careful reader takes them: versions at or below the last one of its key dropped."""
        last: dict[str, int] = {}
        taken = []
        for event in self.records(topic):
            if event.is_genuine and event.version > last.get(event.subject, 0):
                last[event.subject] = event.version
                taken.append(event)
        return [event for event in taken if subject in (None, event.subject)]

    def names(self, topic: str, subject: str) -> list[str]:
        return [event.name for event in self.facts(topic, subject)]

    def write(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, int]:
        """As somebody would who got hold of the right to write there; partition and offset."""
        return self._wait(
            self._write(
                topic, key, value, [(name, text.encode()) for name, text in headers.items()]
            )
        )

    def close(self) -> None:
        self._wait(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WITHIN)

    async def _read(self, topic: str) -> list[Event]:
        if topic not in self._readers:
            self._readers[topic] = await _Reader.on(topic, self.bootstrap)
        return await self._readers[topic].all_now()

    async def _write(
        self, topic: str, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
    ) -> tuple[int, int]:
        if self._producer is None:
            self._producer = AIOKafkaProducer(
                bootstrap_servers=self.bootstrap, max_request_size=2 * 1024 * 1024
            )
            await self._producer.start()
        written = await self._producer.send_and_wait(topic, value, key=key, headers=headers)
        return written.partition, written.offset

    async def _close(self) -> None:
        for reader in self._readers.values():
            await reader.consumer.stop()
        if self._producer:
            await self._producer.stop()


@dataclass
class _Reader:
    consumer: AIOKafkaConsumer
    partitions: list[TopicPartition]
    seen: list[Event]

    @staticmethod
    async def on(topic: str, bootstrap: str) -> "_Reader":
        """Of no group: all partitions are its own, from the beginning."""
        earliest = {"auto_offset_reset": "earliest"}
        consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, **earliest)
        await consumer.start()
        return _Reader(consumer, sorted(consumer.assignment()), [])

    async def all_now(self) -> list[Event]:
        if not self.partitions:
            raise LookupError("there is no such topic")
        ends = await self.consumer.end_offsets(self.partitions)
        while [p for p in self.partitions if await self.consumer.position(p) < ends[p]]:
            batches = await self.consumer.getmany(timeout_ms=200)
            self.seen += [_event(record) for batch in batches.values() for record in batch]
        return list(self.seen)


def _event(record: Any) -> Event:
    headers = {name: value.decode(errors="replace") for name, value in record.headers}
    return Event(record.topic, record.partition, record.key, record.value, headers)
