"""Ends of partitions are asked of the broker; a topic that is not there is no reason to ask on."""

import asyncio
import logging
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError, UnknownTopicOrPartitionError
from aiokafka.protocol.fetch import FetchRequest

from chassis.consuming.reading import Reader, stopped
from chassis.consuming.tracking import Place

from .reactions import Sample, Setup


async def test_a_topic_that_is_missing_is_said_at_once_and_found_when_it_is_there(
    setup: Setup, caplog: pytest.LogCaptureFixture
) -> None:
    reader = Reader(setup.bootstrap)
    there, missing = Sample(setup.run).tallies.name, f"prm.missing-{uuid4().hex[:8]}"
    caplog.set_level(logging.INFO, "aiokafka")
    try:
        assert await reader.bounds([Place(there, 0)]) == {Place(there, 0): (0, 0)}

        with pytest.raises(UnknownTopicOrPartitionError, match=missing):
            await reader.bounds([Place(there, 0), Place(missing, 0)])
        assert await reader.partitions(missing) == 0

        assert len(caplog.records) < 5
        assert await reader.bounds([Place(there, 0)]) == {Place(there, 0): (0, 0)}
    finally:
        await reader.close()


async def test_who_stops_a_consumer_whose_fetch_failed_goes_on_and_leaves_no_connection(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a relay does that compares ends while the broker dies: it took its service with it."""
    failed, send = asyncio.Event(), AIOKafkaClient.send

    async def away(client: AIOKafkaClient, node: int, request: Any, **how: Any) -> Any:
        if isinstance(request, FetchRequest):
            failed.set()
            raise KafkaConnectionError
        return await send(client, node, request, **how)

    monkeypatch.setattr(AIOKafkaClient, "send", away)
    consumer = AIOKafkaConsumer(bootstrap_servers=setup.bootstrap, retry_backoff_ms=60_000)
    await consumer.start()
    consumer.assign([TopicPartition(Sample(setup.run).tallies.name, 0)])
    await failed.wait()

    await stopped(consumer)

    assert not [each for each in consumer._client._conns.values() if each.connected()]
