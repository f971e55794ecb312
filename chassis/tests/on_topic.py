"""What lies on the topic of tallies, and whether it is whole, as an integrator reads it."""

from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition

from chassis.consuming.records import Envelope, Record, plain_headers, read_envelope
from chassis.storage.wire import FIRST_CHAIN

from .reactions import Sample, Setup


async def published(setup: Setup) -> list[Envelope]:
    """All that lies on the topic of tallies, partition by partition."""
    topic = Sample(setup.run).tallies
    reader = AIOKafkaConsumer(bootstrap_servers=setup.bootstrap, enable_auto_commit=False)
    await reader.start()
    try:
        places = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
        reader.assign(places)
        await reader.seek_to_beginning()
        ends = await reader.end_offsets(places)
        found: list[Envelope] = []
        while any([await reader.position(place) < ends[place] for place in places]):
            for records in (await reader.getmany(timeout_ms=500)).values():
                for it in records:
                    record = Record(
                        it.topic,
                        it.partition,
                        it.offset,
                        it.key,
                        it.value,
                        plain_headers(it.headers),
                    )
                    found.append(read_envelope(record, topic.owner))
        return found
    finally:
        await reader.stop()


def first_sights(envelopes: list[Envelope]) -> list[Envelope]:
    """As an integrator reads: versions at or below the last are dropped."""
    last: dict[UUID, int] = {}
    kept = []
    for each in envelopes:
        if each.version > last.get(each.aggregate_id, 0):
            last[each.aggregate_id] = each.version
            kept.append(each)
    return kept


def assert_whole(envelopes: list[Envelope], count: int) -> None:
    """Each fact once, in order, its chain unbroken."""
    chains: dict[UUID, tuple[int, bytes]] = {}
    for each in first_sights(envelopes):
        version, chain = chains.get(each.aggregate_id, (0, FIRST_CHAIN))
        assert each.version == version + 1
        assert each.follows(chain)
        chains[each.aggregate_id] = (each.version, each.chain)
    assert sorted({each.position for each in envelopes}) == list(range(1, count + 1))
