"""Topics as they lie on the broker, read partition by partition, a little of each at a time."""

from collections import deque
from collections.abc import Iterable, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from chassis.consuming.reading import stopped
from chassis.consuming.records import Record, plain_headers
from chassis.consuming.tracking import Place
from prm_contracts.facts import Topic

AT_ONCE = 500  # records of one partition
WAIT_MS = 10  # a partition waits behind the broker's patience with those that have ended
WITHIN_MS = 10_000  # a broker on this or another continent answers sooner


class TopicMissing(LookupError):
    """A topic is not on the broker, or has another number of partitions than its facts."""


def places_of(topics: Iterable[Topic[Any]]) -> list[Place]:
    return [Place(topic.name, number) for topic in topics for number in range(topic.partitions)]


class Log:
    """Partitions from their beginnings up to where they ended on entering; `bounds` tells both.

    Entering raises TopicMissing; everything raises KafkaError, OSError, TimeoutError.
    """

    def __init__(self, bootstrap: str, places: Sequence[Place]) -> None:
        self._bootstrap = bootstrap
        self._places = [TopicPartition(*place) for place in places]
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=WAIT_MS,
        )
        self._at: dict[Place, int] = {}
        self.bounds: dict[Place, tuple[int, int]] = {}

    async def __aenter__(self) -> Self:
        try:
            await self._consumer.start()
            await self._expect_all()
            self._consumer.assign(self._places)
            firsts = await self._consumer.beginning_offsets(self._places)
            ends = await self._consumer.end_offsets(self._places)
            for place in self._places:
                self._consumer.seek(place, firsts[place])
                self.bounds[Place(*place)] = firsts[place], ends[place]
                self._at[Place(*place)] = firsts[place]
        except BaseException:
            await stopped(self._consumer)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, _: TracebackType | None
    ) -> None:
        await stopped(self._consumer)

    async def _expect_all(self) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap)
        await admin.start()
        try:
            found = {it["topic"]: len(it["partitions"]) for it in await admin.describe_topics()}
        finally:
            await admin.close()
        for topic, number in self._places:
            if number >= found.get(topic, 0):
                raise TopicMissing(f"{topic} has no partition {number} on this broker")

    @property
    def size(self) -> int:
        """Offsets from the beginnings to the ends."""
        return sum(end - first for first, end in self.bounds.values())

    def seek(self, place: Place, offset: int) -> None:
        """To be called before the partition is read."""
        self._consumer.seek(TopicPartition(*place), offset)
        self._at[place] = offset

    async def earlier(self, place: Place, offset: int, span: timedelta) -> int:
        """The first offset written at most so long before the record at `offset` - 1."""
        partition, (first, end) = TopicPartition(*place), self.bounds[place]
        if not span or not first < offset <= end:
            return max(first, min(offset, end))
        self.seek(place, offset - 1)
        found = await self._consumer.getmany(partition, timeout_ms=WITHIN_MS, max_records=1)
        if not found:
            raise TimeoutError(f"{place.topic}/{place.partition}: no record at {offset - 1}")
        at = found[partition][0].timestamp - span // timedelta(milliseconds=1)
        times = await self._consumer.offsets_for_times({partition: at})
        return min(offset, times[partition].offset if times[partition] else offset)

    async def more(self, place: Place) -> list[Record]:
        """The next records of the partition; none at its end."""
        end = self.bounds[place][1]
        while self._at[place] < end:
            found = await self._consumer.getmany(
                TopicPartition(*place), timeout_ms=WITHIN_MS, max_records=AT_ONCE
            )
            # Not the last record's offset: the end of a transaction takes one as well.
            reached = await self._consumer.position(TopicPartition(*place))
            if reached == self._at[place]:
                raise TimeoutError(f"{place.topic}/{place.partition}: no records in {WITHIN_MS} ms")
            self._at[place] = reached
            records = [it for them in found.values() for it in them]
            if self._at[place] >= end:
                self._consumer.pause(TopicPartition(*place))
            if wanted := [
                Record(*place, it.offset, it.key, it.value, plain_headers(it.headers))
                for it in records
                if it.offset < end
            ]:
                return wanted
        return []


class Queue:
    """The records of one partition in their order."""

    def __init__(self, log: Log, place: Place) -> None:
        self.place, self.read = place, 0
        self._log = log
        self._records: deque[Record] = deque()

    async def more(self) -> list[Record]:
        """A few, for who keeps them; none at the end of the partition."""
        records = await self._log.more(self.place)
        self.read += len(records)
        return records

    async def head(self) -> Record | None:
        """The next one, which stays; None at the end of the partition."""
        if not self._records:
            self._records.extend(await self._log.more(self.place))
        return self._records[0] if self._records else None

    def pop(self) -> Record:
        self.read += 1
        return self._records.popleft()
