"""Ends of partitions are asked of the broker; a topic that is not there is no reason to ask on."""

import logging
from uuid import uuid4

import pytest
from aiokafka.errors import UnknownTopicOrPartitionError

from chassis.consuming.reading import Reader
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
