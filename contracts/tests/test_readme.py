"""The consumer of the README does what it says, on a real broker, with headers as they are sent."""

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from chassis.consuming.records import StoredRow, headers_of
from prm_contracts.asyncapi import HEADERS, OPTIONAL
from prm_contracts.deals import DealPromoted, DealQueued
from prm_contracts.emit import ROOT
from prm_contracts.facts import Fact, encode

TOPIC = f"prm.deals.{uuid4()}"  # the broker is not this test's alone
DEAL, NOW = UUID(int=7), datetime(2027, 3, 1, 9, tzinfo=UTC)


def stored(version: int, fact: Fact, causation_id: UUID | None = None) -> StoredRow:
    return StoredRow(
        position=version,
        aggregate_id=DEAL,
        version=version,
        type=fact.fact_type,
        data=encode(fact),
        event_id=UUID(int=version),
        occurred_at=NOW,
        recorded_at=NOW,
        actor_id=UUID(int=8),
        command_id=UUID(int=9),
        request_hash="5f" if causation_id else "",
        correlation_id=UUID(int=10),
        causation_id=causation_id,
        traceparent="00-1-1-01" if causation_id else "",
        chain=bytes(32),
        outcome="[]" if causation_id else None,
    )


def names(row: StoredRow) -> set[str]:
    return {name for name, _ in headers_of(row, "deal-svc")}


def test_the_headers_that_are_sent_are_those_of_the_catalogue() -> None:
    listed = {name for name, _, _ in HEADERS}

    assert names(stored(1, DealQueued(place=2), causation_id=UUID(int=1))) == listed
    assert names(stored(1, DealQueued(place=2))) == listed - OPTIONAL


@pytest.fixture
def consumer(tmp_path: Path) -> Path:
    [code] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    script = tmp_path / "consumer.py"
    script.write_text(code.replace('"prm.deals"', f'"{TOPIC}"'))
    return script


async def test_the_consumer_of_the_readme_sees_each_fact_once(
    kafka_broker: str, consumer: Path
) -> None:
    queued, promoted = stored(1, DealQueued(place=2)), stored(2, DealPromoted(subject_version=2))
    last = stored(3, DealQueued(place=3))
    await published(kafka_broker, [queued, promoted, queued, last])

    running = subprocess.Popen(
        [sys.executable, consumer],
        stdout=subprocess.PIPE,
        text=True,
        env={"PRM_KAFKA_BOOTSTRAP": kafka_broker},
    )
    try:
        assert running.stdout
        told = [running.stdout.readline().split()[:3] for _ in range(3)]
    finally:
        running.kill()
        running.communicate()

    assert told == [[str(DEAL), str(row.version), row.type] for row in (queued, promoted, last)]


async def published(broker: str, rows: list[StoredRow]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    await admin.create_topics([NewTopic(TOPIC, num_partitions=1, replication_factor=1)])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=broker) as producer:
        for row in rows:
            key = str(row.aggregate_id).encode()
            headers = headers_of(row, "deal-svc")
            await producer.send_and_wait(TOPIC, row.data, key=key, headers=headers)
