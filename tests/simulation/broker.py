"""A broker in memory: partitions, what each group has acknowledged, and clients of it."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from types import SimpleNamespace
from typing import Any, NamedTuple

from aiokafka.errors import KafkaError

from chassis.consuming.records import Record, plain_headers
from chassis.consuming.tracking import Place

from .scheduler import CURRENT, Fate, Process, Scheduler

LONGEST_WINDOW = 8  # records of one topic
LONGEST_BATCH = 3  # records: two facts of one aggregate often lie in two of them


class Stored(NamedTuple):
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


@dataclass
class Broker:
    """`partitions`: by topic, how many; `committed`: by group and place, the next offset."""

    partitions: dict[str, int]
    records: dict[Place, list[Stored]] = field(default_factory=lambda: defaultdict(list))
    committed: dict[tuple[str, Place], int] = field(default_factory=dict)
    groups: dict[str, "Group"] = field(default_factory=dict)

    def copied(self) -> "Broker":
        copy = Broker(self.partitions, committed=dict(self.committed))
        copy.records.update({place: list(records) for place, records in self.records.items()})
        return copy

    def places(self, topic: str) -> list[Place]:
        return [Place(topic, number) for number in range(self.partitions[topic])]

    def take(self, place: Place, batch: "Batch") -> None:
        """All of it: that is what a broker stores of a batch, or nothing."""
        there = self.records[place]
        for each in batch.records:
            there.append(Stored(len(there), *each))
        for group in self.groups.values():
            if place.topic in group.topics:
                group.tell()


@dataclass(eq=False)
class Member:
    """A worker in its group: which partitions it has, and where it reads on in each."""

    process: Process
    at: dict[Place, int] = field(default_factory=dict)


class Group:
    """Deals the partitions out anew whenever a worker comes or goes, at random."""

    def __init__(
        self, name: str, topics: Sequence[str], broker: Broker, scheduler: Scheduler, rng: Random
    ) -> None:
        self.name, self.topics = name, tuple(topics)
        self._broker, self._scheduler, self._rng = broker, scheduler, rng
        self._members: list[Member] = []
        self._woken: list[asyncio.Future[None]] = []
        broker.groups[name] = self

    def tell(self) -> None:
        woken, self._woken = self._woken, []
        for each in woken:
            if not each.done():
                each.set_result(None)

    def join(self) -> Member:
        member = Member(CURRENT.get())
        member.process.on_death.append(lambda: self.leave(member))
        member.process.on_frozen.append(lambda: self.leave(member))
        self._members.append(member)
        self._deal()
        return member

    def leave(self, member: Member) -> None:
        if member in self._members:
            self._members.remove(member)
            self._deal()

    def _deal(self) -> None:
        for member in self._members:
            member.at = {}
        for place in (place for topic in self.topics for place in self._broker.places(topic)):
            if self._members:
                owner = self._rng.choice(self._members)
                owner.at[place] = self._broker.committed.get((self.name, place), 0)
        self.tell()

    async def next(self, member: Member) -> dict[str, list[Record]]:
        """What a worker gets next: of some topics, of some partitions, some records in order."""
        while not (behind := self._behind(member)):
            woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._woken.append(woken)
            await woken
        await self._scheduler.point("read next records")
        behind = self._behind(member)
        windows: dict[str, list[Record]] = defaultdict(list)
        for place in self._rng.sample(behind, self._rng.randint(0, len(behind))):
            most = self._rng.randint(1, LONGEST_WINDOW)
            found = self._broker.records[place][member.at[place] :][:most]
            windows[place.topic] += [record_of(place, each) for each in found]
            member.at[place] += len(found)
        return windows

    def _behind(self, member: Member) -> list[Place]:
        if member not in self._members and member.process.is_alive:
            self._members.append(member)  # given up while it was frozen; it comes again
            self._deal()
        return [place for place, at in member.at.items() if at < len(self._broker.records[place])]

    async def acknowledge(self, member: Member, records: Iterable[Record]) -> None:
        """Refused to a worker that has lost the partition."""
        if await self._scheduler.point("acknowledge") is Fate.LOST:
            return
        for record in records:
            place = Place(record.topic, record.partition)
            if member in self._members and place in member.at:
                self._broker.committed[self.name, place] = record.offset + 1


def record_of(place: Place, stored: Stored) -> Record:
    headers = plain_headers(stored.headers)
    return Record(*place, stored.offset, stored.key, stored.value, headers)


class Batch:
    """Of one partition; full after a few records."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes | None, bytes | None, tuple[tuple[str, bytes], ...]]] = []

    def append(self, *, key: Any, value: Any, headers: Any, timestamp: None) -> Any:
        """None: it is full."""
        if len(self.records) == LONGEST_BATCH:
            return None
        self.records.append((key, value, tuple(headers)))
        return len(self.records)


class Admin:
    """As much of aiokafka's as a relay asks before it compares."""

    def __init__(self, scheduler: Scheduler, broker: Broker) -> None:
        self._scheduler, self._broker = scheduler, broker

    async def start(self) -> None:
        if await self._scheduler.point("connect to the broker") is not Fate.PASS:
            raise KafkaError("no broker")

    async def close(self) -> None:
        """Nothing is open."""

    async def describe_topics(self) -> list[dict[str, Any]]:
        return [
            {"topic": topic, "error_code": 0, "partitions": [{"leader": 1}] * count}
            for topic, count in self._broker.partitions.items()
        ]


class Producer:
    """As much of aiokafka's as the relay uses: idempotent, so that after a failure nothing more of
    it arrives.
    """

    is_idempotent = True  # false: a fault that is planted

    def __init__(self, scheduler: Scheduler, broker: Broker) -> None:
        self._scheduler, self._broker = scheduler, broker
        self._is_broken = False

    async def start(self) -> None:
        if await self._scheduler.point("connect to the broker") is not Fate.PASS:
            raise KafkaError("no broker")

    async def stop(self) -> None:
        self._is_broken = True

    async def partitions_for(self, topic: str) -> set[int]:
        return set(range(self._broker.partitions[topic]))

    def create_batch(self) -> Batch:
        return Batch()

    async def send_batch(
        self, batch: Batch, topic: str, *, partition: int
    ) -> "asyncio.Future[None]":
        fate = await self._scheduler.point(f"publish on {topic}")
        acknowledged: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if fate is Fate.LOST or self._is_broken:
            self._is_broken = self.is_idempotent
        else:
            self._broker.take(Place(topic, partition), batch)
        if fate is Fate.UNANSWERED:
            self._is_broken = self.is_idempotent
        if self._is_broken or fate is not Fate.PASS:
            acknowledged.set_exception(KafkaError("not acknowledged"))
            acknowledged.exception()  # looked at, should nobody wait for it
        else:
            acknowledged.set_result(None)
        return acknowledged

    async def send_and_wait(self, topic: str, *, key: Any, value: Any, headers: Any) -> None:
        """On the one partition that dead letters have."""
        letter = self.create_batch()
        letter.append(key=key, value=value, headers=headers, timestamp=None)
        await (await self.send_batch(letter, topic, partition=0))


class Consumer:
    """As much of aiokafka's as the relay's comparison and the filling of holes use."""

    def __init__(self, scheduler: Scheduler, broker: Broker) -> None:
        self._scheduler, self._broker = scheduler, broker
        self._at: dict[Place, int] = {}

    async def start(self) -> None:
        if await self._scheduler.point("connect to the broker") is not Fate.PASS:
            raise KafkaError("no broker")

    async def stop(self) -> None:
        """Nothing is open."""

    async def topics(self) -> set[str]:
        return set(self._broker.partitions)

    def partitions_for_topic(self, topic: str) -> set[int]:
        return {place.partition for place in self._broker.places(topic)}

    def assign(self, places: Iterable[Any]) -> None:
        self._at = {Place(*place): 0 for place in places}

    def seek(self, place: Any, offset: int) -> None:
        self._at[Place(*place)] = offset

    async def position(self, place: Any) -> int:
        return self._at[Place(*place)]

    async def beginning_offsets(self, places: Iterable[Any]) -> dict[Any, int]:
        return dict.fromkeys(places, 0)

    async def end_offsets(self, places: Iterable[Any]) -> dict[Any, int]:
        return {place: len(self._broker.records[Place(*place)]) for place in places}

    async def getmany(
        self, *places: Any, timeout_ms: int = 0, max_records: int = 500
    ) -> dict[Any, list[Any]]:
        found: dict[Any, list[Any]] = {}
        for place in places:
            at = self._at[Place(*place)]
            records = self._broker.records[Place(*place)][at : at + max_records]
            self._at[Place(*place)] = at + len(records)
            if records:
                found[place] = [SimpleNamespace(**each._asdict()) for each in records]
        return found
