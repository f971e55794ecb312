"""When facts arrive at a reader of the topics, as any integrator would be one."""

import asyncio
import json
import time
from contextlib import AsyncExitStack
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from chassis.publishing.topics import prepare_topics
from prm_contracts.facts import Topic

PLAIN = "bench.plain"  # a topic of the bench's own: records without a platform
REGISTERED, APPROVED = "DealRegistered", "deal-approved"
LATEST = 120.0  # seconds that an arrival may take


class Arrivals:
    """Inside `async with`. `seen`: by kind and id, the instant (`time.perf_counter`) of the first.

    The kind is the fact's name; of notifications their template, and the id what they tell of.
    """

    def __init__(self, bootstrap: str) -> None:
        self.seen: dict[tuple[str, str], float] = {}
        self._bootstrap = bootstrap
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await prepare_topics(self._bootstrap, [Topic[Any](PLAIN, (), "bench")], [])
        self._producer = AIOKafkaProducer(bootstrap_servers=self._bootstrap, acks="all")
        consumer = AIOKafkaConsumer(
            "prm.deals", "prm.notifications", PLAIN, bootstrap_servers=self._bootstrap
        )
        for client in (self._producer, consumer):
            await client.start()
            self._stack.push_async_callback(client.stop)
        for place in consumer.assignment():
            await consumer.position(place)  # from here on nothing is missed
        self._reading = asyncio.create_task(self._read(consumer))
        self._stack.callback(self._reading.cancel)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def produce(self, id: str) -> float:
        """A plain record of a fact's size; the instant before it was sent."""
        begun = time.perf_counter()
        await self._producer.send_and_wait(PLAIN, b"x" * 1000, key=id.encode())
        return begun

    async def of(self, kind: str, id: str) -> float:
        """Waits for it. Raises TimeoutError."""
        async with asyncio.timeout(LATEST):
            while (kind, id) not in self.seen:
                if self._reading.done():
                    self._reading.result()
                await asyncio.sleep(0.02)  # its instant is noted where it arrives
        return self.seen[kind, id]

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        async for record in consumer:
            self.seen.setdefault(_named(record), time.perf_counter())


def _named(record: Any) -> tuple[str, str]:
    if record.topic == PLAIN:
        return PLAIN, record.key.decode()
    if record.topic == "prm.notifications":
        fact = json.loads(record.value)
        return str(fact.get("template")), str(fact.get("cause", {}).get("aggregate_id"))
    fact_type = next(value for name, value in record.headers if name == "ce_type")
    return fact_type.decode().split(".")[-2], record.key.decode()
