"""Which records of a partition are the next facts of their aggregates, by chain alone."""

import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any, LiteralString, NamedTuple
from uuid import UUID

from chassis.consuming.records import Envelope, Record, StoredRow, Untrustworthy, read_envelope
from chassis.publishing.topics import partition_of
from chassis.recovery.log import Queue
from chassis.storage.rounds import Connection
from chassis.storage.wire import FIRST_CHAIN
from prm_contracts.facts import Topic, UnknownFact, current_type

# Of each aggregate asked for, how far the store has it.
LAST: LiteralString = """
SELECT asked.id, last.version, last.chain FROM unnest(%s::uuid[]) AS asked(id)
CROSS JOIN LATERAL (SELECT version, chain FROM events WHERE aggregate_id = asked.id
    ORDER BY version DESC LIMIT 1) AS last"""
STORED_CHAINS: LiteralString = """
SELECT stored.aggregate_id, stored.version, stored.chain, stored.position
FROM unnest(%s::uuid[], %s::int[]) AS asked(id, version)
JOIN events AS stored ON stored.aggregate_id = asked.id AND stored.version = asked.version"""
MOST_CLAIMS = 10_000


class Candidate(NamedTuple):
    """A record that may be the next fact of its aggregate."""

    envelope: Envelope

    @property
    def position(self) -> int:
        return self.envelope.position

    @property
    def where(self) -> str:
        return where(self.envelope.record)

    def row(self) -> StoredRow:
        it = self.envelope
        return StoredRow(
            position=it.position,
            aggregate_id=it.aggregate_id,
            version=it.version,
            type=it.type,
            data=it.data,
            event_id=it.event_id,
            occurred_at=it.occurred_at,
            recorded_at=it.recorded_at,
            actor_id=it.actor_id,
            command_id=it.command_id,
            request_hash=it.request_hash,
            correlation_id=it.correlation_id,
            causation_id=it.causation_id,
            traceparent=it.traceparent,
            chain=it.chain,
            outcome=it.outcome,
        )


def where(record: Record) -> str:
    return f"{record.topic}/{record.partition}/{record.offset}"


@dataclass
class Passed:
    """What was passed over, and why. `forks`: two facts of one version; `known`: positions above
    `known_above` that the topics have and the store has too; `claims`: of which positions foreign
    records spoke.
    """

    known_above: int = 0
    repeats: int = 0
    foreign: int = 0
    forks: list[str] = field(default_factory=list)
    known: set[int] = field(default_factory=set)
    claims: dict[int, str] = field(default_factory=dict)


class Candidates:
    """Of one partition. `not_ours`: records (topic/partition/offset) that an operator disowns.

    `orphans` gets what follows nothing that is known, by position: whether its predecessors are
    lost or it is a forgery shows when all positions before it are settled.
    """

    def __init__(
        self,
        queue: Queue,
        topic: Topic[Any],
        passed: Passed,
        orphans: dict[int, list[Candidate]],
        not_ours: frozenset[str],
    ) -> None:
        self._queue, self._topic = queue, topic
        self._read: deque[tuple[Record, Envelope | Untrustworthy]] = deque()
        self._passed, self._orphans, self._not_ours = passed, orphans, not_ours
        self._last: dict[UUID, tuple[int, bytes]] = {}
        self._chains: dict[tuple[UUID, int], bytes] = {}
        self._stored: dict[tuple[UUID, int], int] = {}

    @property
    def must_load(self) -> bool:
        """Whether `next` asks broker and store: all facts found before have to be in the store."""
        return not self._read

    is_at_end = False

    async def next(self, connection: Connection) -> Candidate | None:
        """None: the records in hand hold none, or `is_at_end`."""
        if not self._read:
            await self._load(connection)
        while self._read:
            if found := self._candidate(*self._read.popleft()):
                return found
        return None

    async def _load(self, connection: Connection) -> None:
        records = await self._queue.more()
        self.is_at_end = not records
        self._read.extend((record, self._opened(record)) for record in records)
        envelopes = [it for _, it in self._read if isinstance(it, Envelope)]
        ids = list({it.aggregate_id for it in envelopes})
        last = connection.later(LAST, (ids,))
        # And of the version before each: a fork is known by what it follows.
        versions = {(it.aggregate_id, it.version - back) for it in envelopes for back in (0, 1)}
        columns = [list(column) for column in zip(*versions, strict=True)] or [[], []]
        rows = (await connection.now(STORED_CHAINS, columns)).rows
        self._last = {row[0]: (row[1], row[2]) for row in last.rows}
        self._chains = {(row[0], row[1]): row[2] for row in rows}
        self._stored = {(row[0], row[1]): row[3] for row in rows}

    def _opened(self, record: Record) -> Envelope | Untrustworthy:
        try:
            envelope = read_envelope(record, self._topic.owner)
            self._expect_ours(envelope)
        except Untrustworthy as reason:
            return reason
        return envelope

    def _expect_ours(self, envelope: Envelope) -> None:
        """Raises Untrustworthy."""
        if where(envelope.record) in self._not_ours:
            raise Untrustworthy("disowned")
        key = envelope.record.key or b""
        if partition_of(key, self._topic) != envelope.record.partition:
            raise Untrustworthy("its key belongs to another partition")
        if not _is_on(envelope.type, self._topic):
            raise Untrustworthy("its type belongs to another topic")
        if envelope.outcome and not _is_outcome(envelope.outcome):
            raise Untrustworthy("its outcome is none")

    def _candidate(self, record: Record, envelope: Envelope | Untrustworthy) -> Candidate | None:
        if isinstance(envelope, Untrustworthy):
            self._passed.foreign += 1
            return None
        stream, version = envelope.aggregate_id, envelope.version
        last, chain = self._last.get(stream, (0, FIRST_CHAIN))
        if version == last + 1 and envelope.follows(chain):
            return Candidate(envelope)
        if version > last + 1:
            self._orphans.setdefault(envelope.position, []).append(Candidate(envelope))
        elif self._chains.get((stream, version)) == envelope.chain:
            self._passed.repeats += 1
            if (position := self._stored.get((stream, version), 0)) > self._passed.known_above:
                self._passed.known.add(position)
        elif version <= last and self._is_fork(envelope):
            self._passed.forks.append(
                f"version {version} of {stream}: {where(record)} is another fact"
            )
        else:
            self._tell_foreign(envelope)
        return None

    def take(self, candidate: Candidate) -> None:
        """It stands: what comes behind it may follow it."""
        it = candidate.envelope
        self._last[it.aggregate_id] = it.version, it.chain
        self._chains[it.aggregate_id, it.version] = it.chain

    def _is_fork(self, envelope: Envelope) -> bool:
        """Whether it follows what is known, though something else is known to follow that."""
        before = self._chains.get((envelope.aggregate_id, envelope.version - 1))
        return envelope.follows(FIRST_CHAIN if envelope.version == 1 else before or b"")

    def _tell_foreign(self, envelope: Envelope) -> None:
        self._passed.foreign += 1
        if len(self._passed.claims) < MOST_CLAIMS:
            self._passed.claims[envelope.position] = where(envelope.record)


def _is_on(fact_type: str, topic: Topic[Any]) -> bool:
    """A type that this release does not know yet may lie anywhere."""
    try:
        return current_type(fact_type) in topic.facts
    except UnknownFact:
        return True


def _is_outcome(text: str) -> bool:
    try:
        return isinstance(json.loads(text), list)
    except ValueError:
        return False
