"""The relay's check at its start: whether the topics know facts that the store does not, and what
they hold of those that it has confirmed.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, LiteralString
from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition

from chassis.consuming.reading import stopped
from chassis.consuming.records import Envelope, Record, Untrustworthy, plain_headers, read_envelope
from chassis.consuming.tracking import Place
from chassis.storage.rounds import Connection
from chassis.storage.wire import FIRST_CHAIN
from prm_contracts.facts import Topic

log = logging.getLogger(__name__)

# Records, on the way back from a partition's end. A relay that was frozen may have repeated some at
# the end when it woke up: what it repeats says nothing of what lies before.
FIRST_STEP, LONGEST_STEP = 200, 5_000
WITHIN_MS = 2000
# A fetch waits at the end of one partition, and the next one waits for it: half a second each.
FETCH_WAIT_MS = 10

INTERRUPTED: LiteralString = "SELECT EXISTS (SELECT FROM restorations WHERE ended_at IS NULL)"
STORED: LiteralString = """
SELECT aggregate_id, version, position, event_id, chain FROM events
JOIN unnest(%s::uuid[], %s::int[]) AS asked(aggregate_id, version) USING (aggregate_id, version)"""

# By aggregate and version: position, event, chain.
Stored = dict[tuple[UUID, int], tuple[int, UUID, bytes]]


class Ahead(Exception):
    """A topic holds a fact that the store does not: the database was set back."""


async def expect_restored(connection: Connection) -> None:
    """Raises Ahead."""
    found = await connection.execute(INTERRUPTED)
    if (await found.fetchall())[0][0]:
        raise Ahead("a restore of the database was interrupted")


async def compare_ends(
    connection: Connection, bootstrap: str, service: str, topics: Sequence[Topic[Any]]
) -> dict[Place, int]:
    """Whether any reader has taken a fact of this service that the store does not have.

    Positions have no gaps, and what was confirmed before a backup is in it. So the topics of a
    store that was set back hold the position after the last one that both know. A record that is
    unknown, and nevertheless names a position that was confirmed, or one past a gap, was written by
    somebody else; so was one that does not follow the fact before it: readers set that aside.

    Answers the highest position at the end of each partition. Raises Ahead, KafkaError.
    """
    reader = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, enable_auto_commit=False, fetch_max_wait_ms=FETCH_WAIT_MS
    )
    try:
        await reader.start()
        ends = _Ends(connection, reader, service)
        await ends.look([TopicPartition(t.name, at) for t in topics for at in range(t.partitions)])
    finally:
        await stopped(reader)
    ends.judge()
    return ends.lasts


class _Ends:
    """What lies behind the last record of each partition that the store knows as confirmed."""

    def __init__(self, connection: Connection, reader: AIOKafkaConsumer, service: str) -> None:
        self._connection, self._reader, self._service = connection, reader, service
        self._head = self._confirmed = 0
        self._known: set[int] = set()
        self.lasts: dict[Place, int] = {}
        self._unknown: dict[int, Envelope] = {}

    async def look(self, places: Sequence[TopicPartition]) -> None:
        found = await self._connection.execute(
            "SELECT (SELECT coalesce(max(position), 0) FROM events), (SELECT position FROM relay)"
        )
        [(self._head, self._confirmed)] = await found.fetchall()
        self._reader.assign(places)
        firsts = await self._reader.beginning_offsets(places)
        for place, end in (await self._reader.end_offsets(places)).items():
            await self._look_at(place, firsts[place], end)

    def judge(self) -> None:
        """Raises Ahead."""
        position = self._confirmed + 1
        while position in self._known:
            position += 1
        if position in self._unknown:
            topic, partition, offset = self._unknown[position].record[:3]
            raise Ahead(
                f"{topic}/{partition}/{offset} holds a fact of position {position} that the"
                " database lacks"
            )
        for foreign in self._unknown.values():
            log.warning("not a fact of this service: %s/%s/%s", *foreign.record[:3])

    async def _look_at(self, place: TopicPartition, first: int, end: int) -> None:
        """From the end back until there are facts that were confirmed; mostly they are the last."""
        stop, step = end, FIRST_STEP
        is_confirmed = False
        while stop > first and not is_confirmed:
            start = max(first, stop - step)
            is_confirmed = await self._compare(await self._own(place, start, stop))
            stop, step = start, min(2 * step, LONGEST_STEP)

    async def _own(self, place: TopicPartition, start: int, stop: int) -> list[Envelope]:
        """Of these offsets, the records that seem to be of this service."""
        self._reader.seek(place, start)
        where = place.topic, place.partition
        own: list[Envelope] = []
        while (at := await self._reader.position(place)) < stop:
            found = (await self._reader.getmany(place, timeout_ms=WITHIN_MS)).get(place, ())
            if not found and await self._reader.position(place) == at:
                raise TimeoutError(f"no records of {place} at {at}")
            for each in found:
                if each.offset < stop:
                    headers = plain_headers(each.headers)
                    record = Record(*where, each.offset, each.key, each.value, headers)
                    with suppress(Untrustworthy):
                        own.append(read_envelope(record, self._service))
        return own

    async def _compare(self, own: list[Envelope]) -> bool:
        """Whether one of them is a fact of the store that was confirmed."""
        stored = await self._stored(own)
        confirmed = False
        for it in own:
            if stored.get((it.aggregate_id, it.version)) == (it.position, it.event_id, it.chain):
                self._known.add(it.position)
                place = Place(it.record.topic, it.record.partition)
                self.lasts[place] = max(it.position, self.lasts.get(place, 0))
                confirmed |= it.position <= self._confirmed
            # One past the head is the last that can matter: a long tail takes no memory.
            elif self._confirmed < it.position <= self._head + 1 and _follows(it, stored):
                self._unknown[it.position] = it
        return confirmed

    async def _stored(self, own: list[Envelope]) -> Stored:
        """What the store has of these versions, and of the ones before them."""
        asked = {(it.aggregate_id, it.version - back) for it in own for back in (0, 1)}
        columns = [list(column) for column in zip(*asked, strict=True)] or [[], []]
        found = await self._connection.now(STORED, columns)
        return {row[:2]: row[2:] for row in found.rows}


def _follows(envelope: Envelope, stored: Stored) -> bool:
    if envelope.version == 1:
        return envelope.follows(FIRST_CHAIN)
    before = stored.get((envelope.aggregate_id, envelope.version - 1))
    return before is not None and envelope.follows(before[2])
