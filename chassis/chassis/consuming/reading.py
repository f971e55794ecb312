"""Records read at will, outside of the group: holes, and where partitions begin and end."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from chassis.consuming.records import Record, plain_headers
from chassis.consuming.tracking import Place

WITHIN = 5.0  # seconds for one question
WITHIN_MS = 3000
MOST_AT_ONCE = 2000  # records of a stretch


class HoleInTopic(RuntimeError):
    """Records of a topic are gone, or it was made anew: what was in them is not to be had here."""


async def stopped(consumer: AIOKafkaConsumer) -> None:
    """Its fetch may wait to be repeated, because the broker is away: `stop` then cancels that wait
    and comes out with the cancellation, its connections still open. Whoever stopped it would end.
    """
    try:
        await consumer.stop()
    except asyncio.CancelledError:
        await consumer._client.close()  # noqa: SLF001 - what `stop` did not come to
        if (mine := asyncio.current_task()) and mine.cancelling():
            raise


class Reader:
    """Connects when first asked, and anew after a failure. Every question raises KafkaError,
    OSError or TimeoutError while the broker is away.
    """

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._consumer: AIOKafkaConsumer | None = None
        self._asking = asyncio.Lock()

    async def close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await stopped(consumer)

    async def partitions(self, topic: str) -> int:
        """How many the topic has; 0: there is no such topic."""
        async with self._asking:
            consumer = await self._connected()
            try:
                async with asyncio.timeout(WITHIN):
                    if topic not in await consumer.topics():
                        return 0
                    if not consumer.partitions_for_topic(topic):  # it learns of those it is asked
                        await consumer.end_offsets([TopicPartition(topic, 0)])
            except (KafkaError, OSError, TimeoutError):
                await self.close()
                raise
            return len(consumer.partitions_for_topic(topic) or ())

    async def bounds(
        self, places: Collection[Place], within: float = WITHIN
    ) -> dict[Place, tuple[int, int]]:
        """The first offset of each partition and the one that comes next. Of a topic that is not
        there aiokafka asks without end, and logs each time: UnknownTopicOrPartitionError, at once.
        """
        wanted = [TopicPartition(*place) for place in places]
        async with self._asking:
            consumer = await self._connected()
            try:
                async with asyncio.timeout(within):
                    new = {it.topic for it in wanted if not consumer.partitions_for_topic(it.topic)}
                    if missing := new and new - await consumer.topics():
                        raise UnknownTopicOrPartitionError(" ".join(sorted(missing)))
                    firsts = await consumer.beginning_offsets(wanted)
                    ends = await consumer.end_offsets(wanted)
            except (KafkaError, OSError, TimeoutError):
                await self.close()
                raise
        return {Place(*place): (firsts[place], ends[place]) for place in wanted}

    async def read(
        self, place: Place, start: int, stop: int, most: int
    ) -> tuple[list[Record], int]:
        """At most `most` of the offsets from `start` up to, not including, `stop`; and the offset
        to go on at, which is `start` if nothing came in time. Between two records, and behind the
        last one, some may be missing: the end of a transaction takes an offset as well.
        """
        partition = TopicPartition(*place)
        async with self._asking:
            consumer = await self._connected()
            try:
                async with asyncio.timeout(WITHIN):
                    consumer.assign([partition])
                    consumer.seek(partition, start)
                    found = await consumer.getmany(
                        partition, timeout_ms=WITHIN_MS, max_records=most
                    )
                    reached = await consumer.position(partition)
            except (KafkaError, OSError, TimeoutError):
                await self.close()
                raise
        records = [
            Record(*place, each.offset, each.key, each.value, plain_headers(each.headers))
            for each in found.get(partition, ())
            if start <= each.offset < stop
        ]
        return records, min(reached, stop)

    async def stretches(self, wanted: Mapping[Place, range]) -> AsyncGenerator[list[Record], None]:
        """All offsets of the ranges, as they come; those of a partition in their order.

        Raises HoleInTopic besides.
        """
        left = {place: it for place, it in wanted.items() if it}
        async with self._asking:
            consumer = await self._connected()
            try:
                consumer.assign([TopicPartition(*place) for place in left])
                for place, it in left.items():
                    consumer.seek(TopicPartition(*place), it.start)
                while left:
                    found = await consumer.getmany(timeout_ms=WITHIN_MS, max_records=MOST_AT_ONCE)
                    if not found:
                        raise TimeoutError(f"no records of {sorted(left)}")  # noqa: TRY301 - as others
                    yield [it for at, came in found.items() for it in _next(left, at, came)]
                    consumer.pause(
                        *(TopicPartition(*place) for place, it in left.items() if not it)
                    )
                    left = {place: it for place, it in left.items() if it}
            except (KafkaError, OSError, TimeoutError):
                await self.close()
                raise

    async def _connected(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self._bootstrap,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
            )
            try:
                async with asyncio.timeout(WITHIN):
                    await consumer.start()
            except BaseException:
                await stopped(consumer)
                raise
            self._consumer = consumer
        return self._consumer


def _next(
    left: dict[Place, range], at: TopicPartition, came: Sequence[ConsumerRecord]
) -> list[Record]:
    """What of it is wanted; thousands a call, so nothing is done a record that need not be."""
    place = Place(*at)
    wanted = left.get(place, range(0))
    found = [
        Record(*place, each.offset, each.key, each.value, tuple(each.headers))
        for each in came
        if each.offset in wanted
    ]
    if found and (found[0].offset, found[-1].offset) != (wanted[0], wanted[len(found) - 1]):
        raise HoleInTopic(f"{place.topic}/{place.partition} lacks offsets from {wanted[0]} on")
    left[place] = wanted[len(found) :]
    return found
