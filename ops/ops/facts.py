"""Facts as operators and integrators look at them: CloudEvents, from a store or a topic."""

import asyncio
import heapq
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString, NamedTuple
from uuid import UUID

import psycopg
from aiokafka.errors import KafkaError

from chassis.consuming.reading import Reader
from chassis.consuming.records import (
    STORED,
    Envelope,
    Record,
    StoredRow,
    Untrustworthy,
    headers_of,
    read_envelope,
)
from chassis.consuming.tracking import Place
from chassis.publishing.topics import dead_letters_of
from chassis.recovery.log import Log, Queue, TopicMissing, places_of
from chassis.storage.wire import FIRST_CHAIN
from ops.failures import OpsError
from ops.platform import Platform
from prm_contracts.catalogue import TOPICS
from prm_contracts.facts import Topic

FOLLOW_EVERY = 0.5  # seconds
INTEGERS = ("sequence", "position")
BOX = {"subject", "key", "box"}  # of a personal text

STREAM: LiteralString = (
    f"SELECT {STORED} FROM events WHERE aggregate_id = %(id)s"  # noqa: S608 - constants of the house
    " AND version <= coalesce(%(version)s::int, 2147483647)"
    " AND recorded_at <= coalesce(%(at)s::timestamptz, 'infinity') ORDER BY version"
)

Since = int | datetime  # a position, 0 being the beginning, or an instant by recorded time


@dataclass(frozen=True)
class Event:
    """`attributes`: of CloudEvents, by name. `data`: as it lies there."""

    attributes: dict[str, str]
    data: bytes

    @staticmethod
    def of(headers: Sequence[tuple[str, bytes]], data: bytes | None) -> "Event":
        told = {name: value.decode(errors="backslashreplace") for name, value in headers}
        attributes = {name[3:]: text for name, text in told.items() if name.startswith("ce_")}
        kind = {"datacontenttype": told["content-type"]} if "content-type" in told else {}
        return Event(attributes | kind, data or b"")

    def document(self) -> dict[str, Any]:
        """CloudEvents in JSON format; numbers are numbers, for who reads by hand or by jq."""
        told: dict[str, Any] = dict(self.attributes)
        for name in INTEGERS:
            if told.get(name, "").isdecimal():
                told[name] = int(told[name])
        try:
            return told | {"data": json.loads(self.data)}
        except (ValueError, RecursionError):
            return told | {"data": self.data.decode(errors="backslashreplace")}

    def line(self) -> str:
        return json.dumps(self.document(), ensure_ascii=False)


def sealed(data: Any) -> Any:
    """The same with each personal text as a box that says whose it is."""
    if isinstance(data, dict):
        if data.keys() == BOX:
            return f"[sealed, of {data['subject']}]"
        return {name: sealed(value) for name, value in data.items()}
    return [sealed(each) for each in data] if isinstance(data, list) else data


def topic_of_kind(kind: str) -> Topic[Any]:
    """By the name of its aggregate (`deal`) or of the topic. Raises OpsError."""
    kinds = {topic.facts[0].fact_type.split(".")[1]: topic for topic in TOPICS}
    names = {topic.name: topic for topic in TOPICS}
    found = kinds.get(kind) or names.get(kind)
    if found is None:
        raise OpsError(f"There is no kind {kind}: it may be {', '.join(sorted(kinds))}.")
    return found


def named(topic: str, services: Sequence[str]) -> Topic[Any]:
    """A topic of facts or of dead letters. Raises OpsError."""
    topics = {each.name: each for each in TOPICS}
    topics |= {
        dead_letters_of(name): Topic[Any](dead_letters_of(name), (), name, 1) for name in services
    }
    if topic not in topics:
        raise OpsError(f"There is no topic {topic}: it may be {', '.join(sorted(topics))}.")
    return topics[topic]


def stream(platform: Platform, kind: str, id: UUID, as_of: int | datetime | None) -> list[Event]:
    """The facts of one aggregate, up to a version or to what was known at an instant.

    Raises OpsError, if there are none.
    """
    topic = topic_of_kind(kind)
    asked = {
        "id": id,
        "version": as_of if isinstance(as_of, int) else None,
        "at": as_of if isinstance(as_of, datetime) else None,
    }
    addresses = platform.state.addresses.get(topic.owner)
    if addresses is None:
        raise OpsError(f"{topic.owner} has never run here: `prm up` starts all.")
    try:
        with psycopg.connect(addresses.database_dsn, connect_timeout=3) as connection:
            found = connection.execute(STREAM, asked, binary=True).fetchall()
    except psycopg.Error as away:
        raise OpsError(f"The database of {topic.owner} does not answer: {away}") from away
    rows = [StoredRow(*row) for row in found]
    kinds = {row.type.split(".")[1] for row in rows}
    if topic.facts[0].fact_type.split(".")[1] not in kinds:
        known = f"; under that id there is a {kinds.pop()}" if kinds else ""
        when = "" if as_of is None else f" as of {as_of}"
        raise OpsError(f"There is no {kind} {id} in {topic.owner}{when}{known}.")
    return [Event.of(headers_of(row, topic.owner), row.data) for row in rows]


class Seen(NamedTuple):
    """A record with what is to be shown of it."""

    record: Record
    event: Event

    @property
    def where(self) -> str:
        return f"{self.record.partition}/{self.record.offset}"


class Chains:
    """Which records are facts that come for the first time: the next of their aggregate, by version
    and chain. `missing`: by aggregate, the version without which others have come.
    """

    def __init__(self) -> None:
        self._last: dict[UUID, tuple[int, bytes]] = {}
        self.missing: dict[UUID, int] = {}

    def takes(self, envelope: Envelope) -> bool:
        version, chain = self._last.get(envelope.aggregate_id, (0, FIRST_CHAIN))
        if envelope.version > version + 1:
            self.missing[envelope.aggregate_id] = version + 1
        if envelope.version != version + 1 or not envelope.follows(chain):
            return False
        self._last[envelope.aggregate_id] = envelope.version, envelope.chain
        self.missing.pop(envelope.aggregate_id, None)
        return True


async def replayed(
    bootstrap: str, topic: Topic[Any], since: Since, chains: Chains
) -> AsyncIterator[Event]:
    """Each fact once, in the order of its service's store, as far as the topic goes now.

    What its owner did not write is left out, and so is what comes behind a version that never came:
    `chains` knows afterwards. Raises TopicMissing, errors of aiokafka and sockets.
    """
    async with Log(bootstrap, places_of([topic])) as log:
        queues = [Queue(log, place) for place in log.bounds]
        heads = [
            (it.position, number, it)
            for number, queue in enumerate(queues)
            if (it := await _next(queue, topic, chains))
        ]
        heapq.heapify(heads)
        while heads:
            _, number, envelope = heapq.heappop(heads)
            is_position = isinstance(since, int)
            if (envelope.position if is_position else envelope.recorded_at) >= since:
                yield Event.of(envelope.record.headers, envelope.record.value)
            if following := await _next(queues[number], topic, chains):
                heapq.heappush(heads, (following.position, number, following))


async def _next(queue: Queue, topic: Topic[Any], chains: Chains) -> Any:
    """The next first sight of a fact in the partition."""
    while await queue.head():
        try:
            envelope = read_envelope(queue.pop(), topic.owner)
        except Untrustworthy:
            continue
        if chains.takes(envelope):
            return envelope
    return None


async def tailed(
    bootstrap: str, topic: Topic[Any], most: int, *, follow: bool
) -> AsyncIterator[Seen]:
    """The last records as they came, repeats and strangers included; then what comes."""
    async with Log(bootstrap, places_of([topic])) as log:
        for place, (first, end) in log.bounds.items():
            log.seek(place, max(first, end - most))
        queues = [Queue(log, place) for place in log.bounds]
        shown = [await _seen(queue) for queue in queues for _ in range(most) if await queue.head()]
    shown.sort(key=lambda it: it.event.attributes.get("recordedat", ""))
    for each in shown[-most:] if most else ():
        yield each
    reader, at = Reader(bootstrap), {place: end for place, (_, end) in log.bounds.items()}
    places = list(at)
    try:
        while follow:
            await asyncio.sleep(FOLLOW_EVERY)
            for place, (_, end) in (await reader.bounds(places)).items():
                for it in await _read(reader, place, at[place], end):
                    yield Seen(it, Event.of(it.headers, it.value))
                at[place] = end
    finally:
        await reader.close()


async def _seen(queue: Queue) -> Seen:
    record = queue.pop()
    return Seen(record, Event.of(record.headers, record.value))


async def _read(reader: Reader, place: Place, start: int, stop: int) -> list[Record]:
    found: list[Record] = []
    while start < stop:
        records, after = await reader.read(place, start, stop, stop - start)
        if after == start:
            break
        found += records
        start = after
    return found


AWAY = (KafkaError, OSError, TimeoutError, TopicMissing)
