"""The relay where a topic has lost what it held, is not what it was, or does not take a fact."""

from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import UnknownTopicOrPartitionError

from chassis.publishing.producing import Batches, a_producer
from chassis.publishing.topics import LARGEST_RECORD, partition_of, prepare_topics
from chassis.storage.event_store import PostgresEventStore
from chassis.testing import a_command
from prm_contracts.facts import Topic

from .on_topic import assert_whole, published
from .reactions import Sample, Setup, Stranger, Tallied, running, tallied, tally, until


async def test_what_the_broker_lost_of_the_end_is_published_again(
    setup: Setup, events: PostgresEventStore
) -> None:
    """The last facts were acknowledged and confirmed, and then the machine lost its power."""
    await tallied(events, 20)
    async with running(setup.relay()) as relay:
        await until(lambda: relay.published == 20)
    await tallied(events, 10)
    with psycopg.connect(setup.dsn) as session:
        session.execute("UPDATE relay SET position = 30")

    async with running(setup.relay()) as relay:
        await until(lambda: relay.is_leader and relay.published == 30)

    assert_whole(await published(setup), 30)


async def test_a_topic_that_was_made_anew_is_filled_again(
    setup: Setup, events: PostgresEventStore
) -> None:
    topic = Sample(setup.run).tallies
    await tallied(events, 20)
    async with running(setup.relay()) as relay:
        await until(lambda: relay.published == 20)
    await made_anew(setup, topic, topic.partitions)

    async with running(setup.relay()) as relay:
        await until(lambda: relay.is_leader and relay.published == 20)
    found = await published(setup)

    assert_whole(found, 20)
    assert len(found) == 20


async def test_a_topic_that_is_gone_or_was_made_otherwise_is_named(
    setup: Setup, events: PostgresEventStore
) -> None:
    """With the way out, and taken as soon as it is there as it was."""
    topic, relay = Sample(setup.run).tallies, setup.relay()
    ids = (UUID(int=number) for number in range(50))
    of_the_second = next(it for it in ids if partition_of(str(it).encode(), topic) == 1)
    await tallied(events, 20)
    async with running(relay):
        await until(lambda: relay.published == 20)
        await made_anew(setup, topic, 1)
        await tallied(events, 10, [of_the_second])  # those of the first one it would take
        await until(lambda: any("1 partitions instead of" in each for each in relay.reasons))
        await made_anew(setup, topic, 0)
        await until(lambda: any("`prm up` makes it anew" in each for each in relay.reasons))
        held = relay.published

        await made_anew(setup, topic, topic.partitions)
        await until(lambda: relay.is_leader and relay.published == 30)

    assert held == 20
    assert_whole(await published(setup), 30)
    assert relay.reasons == ()


async def test_a_partition_that_a_topic_has_not_is_a_fault_of_the_sending(setup: Setup) -> None:
    """Its client would end the process: it asserts that there is one."""
    topic = replace(Sample(setup.run).tallies, partitions=10_000)
    async with Stranger(setup.bootstrap, topic) as stranger:
        of_another = stranger.row(UUID(int=1), Tallied(order_id=uuid4(), note=""))
    producer = a_producer(setup.bootstrap)
    await producer.start()
    batches = Batches(producer)
    await batches.add(topic, of_another)

    with pytest.raises(UnknownTopicOrPartitionError, match=topic.name):
        await batches.sent()

    await producer.stop()


async def made_anew(setup: Setup, topic: Topic[Any], partitions: int) -> None:
    """With so many partitions; 0: not at all."""
    admin = AIOKafkaAdminClient(bootstrap_servers=setup.bootstrap)
    await admin.start()
    await admin.delete_topics([topic.name])
    await until(lambda: is_gone(admin, topic.name))
    await admin.close()
    if partitions:
        await prepare_topics(setup.bootstrap, [replace(topic, partitions=partitions)], [])


async def is_gone(admin: AIOKafkaAdminClient, topic: str) -> bool:
    return topic not in await admin.list_topics()


async def test_a_fact_that_its_topic_does_not_take_is_named_and_leaves_once_it_does(
    setup: Setup, events: PostgresEventStore
) -> None:
    """Nothing overtakes it, and a batch of one is not halved."""
    topic, relay = Sample(setup.run).tallies.name, setup.relay()
    await events.execute(tally, a_command(), uuid4(), "before")
    await takes_at_most(setup, topic, 10_000)
    async with running(relay):
        await until(lambda: relay.published == 1)
        await events.execute(tally, a_command(), uuid4(), "x" * 20_000)
        await events.execute(tally, a_command(), uuid4(), "behind")
        await until(lambda: any("MessageSizeTooLarge" in each for each in relay.reasons))
        held = relay.published

        await takes_at_most(setup, topic, LARGEST_RECORD)
        await until(lambda: relay.published == 3)

    assert held == 1
    assert_whole(await published(setup), 3)
    assert relay.reasons == ()


async def takes_at_most(setup: Setup, topic: str, size: int) -> None:
    """As an administrator may set it."""
    admin = AIOKafkaAdminClient(bootstrap_servers=setup.bootstrap)
    await admin.start()
    try:
        configured = {"max.message.bytes": str(size)}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configured)])
    finally:
        await admin.close()
