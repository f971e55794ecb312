"""Three brokers, of which some fail: commands never notice, and what waited leaves when it can."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, OutOfOrderSequenceNumber

from chassis.publishing.relay import Relay
from chassis.publishing.topics import dead_letters_of, prepare_topics
from chassis.storage.migrate import migrate
from chassis.testing import event_store
from chassis.testing.chaos import Chaos
from chassis.testing.topics import Topics
from ops.backends.kafka_cluster import Cluster, Node, a_cluster_below
from prm_contracts.facts import Topic

from .counters import COUNTERS
from .deployed import Deployment, Program, SampleProcess, deployed, started
from .on_topic import assert_whole as assert_published
from .on_topic import published
from .reactions import Sample, Setup, running, tallied, until
from .steady import Callers, Operator, assert_whole, calling

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.timeout(300),
    pytest.mark.skipif("not __import__('os').environ.get('PRM_CHAOS')", reason="make chaos"),
]
AWAY = 15.0  # seconds: longer than the producer waits for an answer, and than a session lives
RECOVERED_WITHIN = 60.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    home = Path(tempfile.mkdtemp(prefix="prm-cluster-"))
    try:
        with a_cluster_below(home) as cluster:
            yield cluster
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def clustered(postgres_server: str, cluster: Cluster) -> Iterator[Deployment]:
    with deployed(postgres_server, cluster.bootstrap) as deployment:
        yield deployment


@pytest.fixture(scope="module")
def process(clustered: Deployment) -> Iterator[SampleProcess]:
    with started(clustered, Program("tests.crashing")) as process:
        process.until_answers("/readyz", 200)
        yield process


@pytest.fixture(scope="module")
def topics(cluster: Cluster) -> Iterator[Topics]:
    topics = Topics(cluster.bootstrap)
    yield topics
    topics.close()


def leader_of(cluster: Cluster, topic: str, partition: int = 0) -> Node:
    async def ask() -> int:
        admin = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap)
        await admin.start()
        try:
            [found] = await admin.describe_topics([topic])
            return int(found["partitions"][partition]["leader"])
        finally:
            await admin.close()

    return cluster.nodes[asyncio.run(ask())]


@contextmanager
def a_fault(process: SampleProcess, callers: Callers, what: str) -> Iterator[None]:
    """What happens in the block is noticed by no caller; afterwards everything leaves again."""
    callers.go_on()
    callers.longest_wait = 0.0
    lost, unavailable = len(callers.lost), len(callers.unavailable)
    yield
    callers.go_on(20)
    ended_at = time.monotonic()
    wanted = Operator(process).ask("GET", "/state").json()["head"]
    while (state := Operator(process).ask("GET", "/state").json())["published"] < wanted:
        assert time.monotonic() < ended_at + RECOVERED_WITHIN, state
        time.sleep(0.05)
    recovered = time.monotonic() - ended_at
    said = f"{what}: published {recovered:.1f} s later, slowest {callers.longest_wait:.2f} s"
    print(said)  # noqa: T201 - for who watches
    assert callers.lost[lost:] == callers.unavailable[unavailable:] == []


def test_commands_go_on_while_brokers_fail(
    cluster: Cluster, process: SampleProcess, topics: Topics, chaos: Chaos
) -> None:
    with calling(process.url, chaos) as callers:
        with a_fault(process, callers, "leader killed"):
            killed = leader_of(cluster, COUNTERS.name)
            killed.kill()
        cluster.start()
        with a_fault(process, callers, "rolling restart"):
            for node in cluster.nodes.values():
                node.stop()
                node.start()
        for frozen in (leader_of(cluster, COUNTERS.name), leader_of(cluster, COUNTERS.name, 1)):
            with a_fault(process, callers, f"{frozen.name} frozen"):
                frozen.freeze()
                try:
                    callers.ended.wait(AWAY)
                finally:
                    frozen.thaw()
        with a_fault(process, callers, "two of three stopped"):
            two = chaos.chance("two").sample(sorted(cluster.nodes), 2)
            for number in two:
                cluster.nodes[number].kill()
            callers.ended.wait(AWAY)
            cluster.start()
        callers.end()
        assert_whole(process, topics, callers)


class Stubborn(Relay):
    """The variant that was tried first: sends again with the producer that failed."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.failures: list[BaseException] = []

    async def _send(self, producer: Any, rows: Any) -> None:
        while not self._stopping.is_set():
            try:
                await super()._send(producer, rows)
            except (KafkaError, TimeoutError) as failure:
                self.failures.append(failure)
            else:
                return
        raise TimeoutError


@pytest.fixture
async def setup(fresh_database: str, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Setup:
    """Its partitions lie on one node each: without it they have no leader."""
    monkeypatch.setattr(Topic, "carrying", {})
    sample = Sample(uuid4().hex[:8])
    migrate(fresh_database)
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap)
    await admin.start()
    made = await admin.create_topics(
        [
            NewTopic(sample.tallies.name, -1, -1, replica_assignments={0: [2], 1: [3]}),
            NewTopic(dead_letters_of(sample.name), -1, -1, replica_assignments={0: [1]}),
        ]
    )
    assert not any(code for _, code, *_ in made.topic_errors), made
    await admin.close()
    await prepare_topics(cluster.bootstrap, sample.all_topics, [sample.name])
    return Setup(sample.name.removeprefix("sample-"), fresh_database, cluster.bootstrap)


async def test_a_partition_without_a_leader_holds_its_facts_up_only_while_it_has_none(
    setup: Setup, cluster: Cluster
) -> None:
    async with event_store(setup.dsn) as events, running(setup.relay()) as relay:
        await tallied(events, 20)
        await until(lambda: relay.published == 20)
        await asyncio.to_thread(cluster.nodes[3].kill)
        await tallied(events, 20)
        await until(lambda: any("TimeoutError" in it or "Leader" in it for it in relay.reasons))
        await tallied(events, 20)
        await asyncio.sleep(AWAY)  # the fault itself: longer than a request may take
        await asyncio.to_thread(cluster.start)
        began_at = time.monotonic()
        await until(lambda: relay.published == 60, within=RECOVERED_WITHIN)
        print(f"published {time.monotonic() - began_at:.1f} s after the leader was back")  # noqa: T201

    assert_published(await published(setup), 60)


async def test_a_relay_that_sends_again_on_the_same_producer_never_recovers(
    setup: Setup, cluster: Cluster
) -> None:
    sample = Sample(setup.run)
    relay = Stubborn(sample.name, setup.dsn, setup.bootstrap, sample.topics)
    async with event_store(setup.dsn) as events, running(relay):
        await tallied(events, 20)
        await until(lambda: relay.published == 20)
        await asyncio.to_thread(cluster.nodes[3].kill)
        await tallied(events, 20)
        await until(lambda: relay.failures, within=RECOVERED_WITHIN)
        await asyncio.to_thread(cluster.start)

        def is_out_of_order() -> bool:
            return isinstance(relay.failures[-1], OutOfOrderSequenceNumber)

        await until(is_out_of_order, within=RECOVERED_WITHIN)

    assert relay.published < 40


def is_published(relay: Relay, count: int) -> bool:
    return relay.published == count


async def test_a_dead_letter_that_cannot_leave_holds_no_fact_up(
    setup: Setup, cluster: Cluster
) -> None:
    with psycopg.connect(setup.dsn) as owner:
        owner.execute(
            'INSERT INTO parking (subscriber, type, topic, partition, "offset", headers, kind,'
            " state, reason) VALUES ('', '', 't', 0, 0, '[]', 'untrustworthy', 'dead', 'noise')"
        )
    await asyncio.to_thread(cluster.nodes[1].kill)
    try:
        async with event_store(setup.dsn) as events, running(setup.relay()) as relay:
            await until(lambda: relay.is_leader, within=RECOVERED_WITHIN)
            for count in range(20, 220, 20):
                await tallied(events, 20)
                await until(partial(is_published, relay, count), within=5)
                await asyncio.sleep(0.2)  # the letter is looked at once a second
    finally:
        await asyncio.to_thread(cluster.start)
