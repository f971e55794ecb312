"""Topics: created once with a partition count that never changes, kept for ever."""

import asyncio
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code
from aiokafka.partitioner import DefaultPartitioner

from prm_contracts.facts import Topic

KEPT_FOR_EVER = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
LARGEST_RECORD = 2 * 1024 * 1024
LARGEST_LETTER = LARGEST_RECORD + 64 * 1024  # the largest record as it came, and why it is dead
DEAD_LETTERS = ".dead-letters"
MOST_REPLICAS = 3
LED_WITHIN = 30.0  # seconds
KEYS_REMEMBERED = 65_536  # the hash is computed in Python

_partition_of = DefaultPartitioner()


class TopicDiffers(RuntimeError):
    """A topic is not there, or not with the partition count that its facts were laid out for."""


def partition_of(key: bytes, topic: Topic[Any]) -> int:
    """Where the relay's producer puts this key."""
    return _partition(key, topic.partitions)


@lru_cache(KEYS_REMEMBERED)
def _partition(key: bytes, partitions: int) -> int:
    return int(_partition_of(key, range(partitions), None))


def dead_letters_of(service: str) -> str:
    return f"prm.{service}{DEAD_LETTERS}"


async def prepare_topics(
    bootstrap: str, topics: Iterable[Topic[Any]], services: Iterable[str]
) -> list[str]:
    """Makes what is missing, the services' dead-letter topics too; answers with its names.

    Returns once every partition has a leader. Raises TopicDiffers, aiokafka's KafkaError.
    """
    wanted = {topic.name: topic.partitions for topic in topics}
    wanted |= {dead_letters_of(service): 1 for service in services}
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        missing = wanted.keys() - await _are_led(admin, wanted)
        if missing:
            await _create(admin, {name: wanted[name] for name in sorted(missing)})
        async with asyncio.timeout(LED_WITHIN):
            while sum((await _are_led(admin, wanted)).values()) < len(wanted):  # noqa: ASYNC110 - Kafka tells nobody
                await asyncio.sleep(0.1)
        return sorted(missing)
    finally:
        await admin.close()


async def expect_prepared(bootstrap: str, topics: Iterable[Topic[Any]]) -> None:
    """Its client asks without end for what is not there. Raises TopicDiffers, KafkaError."""
    wanted = {topic.name: topic.partitions for topic in topics}
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await admin.start()
        missing = wanted.keys() - await _are_led(admin, wanted)
    finally:
        await admin.close()
    if missing:
        raise TopicDiffers(
            f"{', '.join(sorted(missing))}: no such topic any more. `prm up` makes it anew, and the"
            " facts that it held are published again."
        )


async def _create(admin: AIOKafkaAdminClient, partitions: dict[str, int]) -> None:
    brokers = len((await admin.describe_cluster())["brokers"])
    replicas = min(MOST_REPLICAS, brokers)
    settings = KEPT_FOR_EVER | {"min.insync.replicas": str(max(1, replicas - 1))}
    answer = await admin.create_topics(
        [
            NewTopic(name, count, replicas, topic_configs=settings | largest(name))
            for name, count in partitions.items()
        ]
    )
    for name, code, *_ in answer.topic_errors:
        if code and for_code(code) is not TopicAlreadyExistsError:  # another admin was as quick
            raise for_code(code)(f"{name} cannot be created")


def largest(topic: str) -> dict[str, str]:
    is_letters = topic.endswith(DEAD_LETTERS)
    return {"max.message.bytes": str(LARGEST_LETTER if is_letters else LARGEST_RECORD)}


async def _are_led(admin: AIOKafkaAdminClient, wanted: dict[str, int]) -> dict[str, bool]:
    """The wanted topics that are there: whether all their partitions are. Raises TopicDiffers."""
    led = {}
    for topic in await admin.describe_topics():
        name, partitions = topic["topic"], topic["partitions"]
        if name not in wanted or topic["error_code"]:
            continue
        if len(partitions) != wanted[name]:
            raise TopicDiffers(
                f"{name} has {len(partitions)} partitions instead of {wanted[name]}: the order"
                " of its facts rests on their number. Take another broker, or what made it."
            )
        led[name] = all(partition["leader"] >= 0 for partition in partitions)
    return led
