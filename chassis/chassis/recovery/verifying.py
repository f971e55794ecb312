"""A store compared with its topics, fact by fact in the order of the store, in little memory."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, LiteralString

from psycopg import AsyncConnection

from chassis.consuming.records import STORED, Record, StoredRow
from chassis.consuming.tracking import Place
from chassis.publishing.topics import partition_of
from chassis.recovery.differences import MOST_SHOWN, Difference, Findings, Kind
from chassis.recovery.judging import Judge, Judged, is_of, unlike
from chassis.recovery.log import Log, Queue, places_of
from chassis.storage.wire import FIRST_CHAIN, chained, fact_digest, id_text
from prm_contracts.facts import Topic, UnknownFact, current_type, unversioned

Progress = Callable[[int, int], None]  # how many of how many

AT_ONCE = 1000  # rows
MOST_REMEMBERED = 100_000  # of missing facts, to know one that comes later

ROWS: LiteralString = (
    "SELECT "
    + ", ".join(f"fact.{name.strip()}" for name in STORED.split(","))
    + """, before.chain
FROM events AS fact LEFT JOIN events AS before
    ON before.aggregate_id = fact.aggregate_id AND before.version = fact.version - 1
WHERE fact.position > %s AND fact.position <= %s ORDER BY fact.position LIMIT """
    + str(AT_ONCE)
)
HEAD: LiteralString = "SELECT coalesce(max(position), 0) FROM events"
PUBLISHED: LiteralString = "SELECT position FROM relay"
NAMES: LiteralString = (
    "SELECT position, aggregate_id, version FROM events WHERE position = ANY (%s::bigint[])"
)
LOST: LiteralString = "SELECT aggregate_id, first, last FROM lost_facts"


@dataclass
class Verified:
    """Counts: `facts` in the store, of which `unpublished` lie on no topic yet; `repeats` and
    `foreign` records; `lost`: facts whose loss was accepted.
    """

    findings: Findings = field(default_factory=Findings)
    facts: int = 0
    records: int = 0
    repeats: int = 0
    foreign: int = 0
    lost: int = 0
    unpublished: int = 0


class Verification:
    """`connection`: autocommit, of a role that reads the store. One use."""

    def __init__(
        self, connection: AsyncConnection[Any], service: str, topics: Sequence[Topic[Any]]
    ) -> None:
        self.result = Verified()
        self._connection, self._service = connection, service
        self._topics = {topic.name: topic for topic in topics}
        self._topic_of = {
            unversioned(fact.fact_type): topic for topic in topics for fact in topic.facts
        }
        self._judge = Judge(connection, service)
        self._queues: dict[Place, Queue] = {}
        self._ahead: dict[Place, int] = {}  # position of the head, where it is a later fact
        self._missing: set[int] = set()
        self._misplaced: set[int] = set()
        self._lost_positions: list[tuple[int, int]] = []
        self._lost_versions: set[tuple[Any, int]] = set()

    async def run(self, bootstrap: str, progress: Progress = lambda *_: None) -> Verified:
        """Raises TopicMissing, and the errors of psycopg, aiokafka and sockets."""
        await self._prepare()
        # In this order: what was confirmed lies within the ends, what lies there is in the store.
        [published] = await self._one(PUBLISHED)
        async with Log(bootstrap, places_of(self._topics.values())) as log:
            [head] = await self._one(HEAD)
            self._queues = {place: Queue(log, place) for place in log.bounds}
            self._look_at_bounds(log)
            expected = 1
            async for row, before in self._rows(head):
                self._look_for_gap(expected, row.position)
                expected = row.position + 1
                self._look_at(row, before)
                await self._find(row, is_published=row.position <= published)
                self.result.facts += 1
                if not self.result.facts % AT_ONCE:
                    progress(row.position, head)
            self._look_for_gap(expected, published + 1)
            await self._drain()
            progress(head, head)
        await self._tell_missing()
        self.result.records = sum(queue.read for queue in self._queues.values())
        return self.result

    async def _prepare(self) -> None:
        # A plan for a table without statistics would sort all of it for each thousand.
        for plan in ("hashjoin", "mergejoin", "seqscan", "bitmapscan"):
            await self._connection.execute(f"SET enable_{plan} = off".encode())
        found = await self._connection.execute(LOST)
        for aggregate_id, first, last in await found.fetchall():
            if aggregate_id is None:
                self._lost_positions.append((first, last))
            else:
                self._lost_versions |= {(aggregate_id, n) for n in range(first, last + 1)}

    async def _one(self, query: LiteralString) -> tuple[Any, ...]:
        [row] = await (await self._connection.execute(query)).fetchall()
        return tuple(row)

    async def _rows(self, head: int) -> AsyncIterator[tuple[StoredRow, bytes | None]]:
        at = 0
        while True:
            found = await self._connection.execute(ROWS, (at, head), prepare=True, binary=True)
            rows = await found.fetchall()
            for *row, before in rows:
                yield StoredRow(*row), before
            if len(rows) < AT_ONCE:
                return
            at = rows[-1][0]

    def _look_at_bounds(self, log: Log) -> None:
        for place, (first, _) in log.bounds.items():
            if first:
                what = f"its records begin at offset {first} instead of 0"
                self._add("offsets-gone", what, where=f"{place.topic}/{place.partition}/0")

    def _look_for_gap(self, expected: int, position: int) -> None:
        at = expected
        for first, last in sorted(self._lost_positions):
            if first <= at <= last < position:
                self.result.lost += last - at + 1
                at = last + 1
        if at < position:
            gap = f"positions {at} to {position - 1} are" if position - at > 1 else f"{at} is"
            self._add("position-missing", f"{gap} not in the store", position=at)

    def _look_at(self, row: StoredRow, before: bytes | None) -> None:
        """The row by itself: its version, its chain, its topic."""
        if row.version > 1 and before is None:
            if (row.aggregate_id, row.version - 1) not in self._lost_versions:
                self._add_of(row, "version-missing", f"version {row.version - 1} is not there")
        elif _chain_of(row, before or FIRST_CHAIN) != row.chain:
            self._add_of(row, "chain-broken", "its chain is not that of its bytes")

    async def _find(self, row: StoredRow, *, is_published: bool) -> None:
        """Its record, at the head of its partition; what lies before that is looked at."""
        topic = self._topic(row.type)
        if topic is None:
            self._add_of(row, "not-published", f"{row.type} lies on no topic of {self._service}")
            return
        number = partition_of(id_text(row.aggregate_id).encode(), topic)
        place = Place(topic.name, number)
        while record := await self._queues[place].head():
            if is_of(record, row):
                self._ahead.pop(place, None)
                self._compare(self._queues[place].pop(), row)
                return
            if place in self._ahead or await self._is_later(place, record, row.position):
                break
            self._queues[place].pop()
        if row.position in self._misplaced:
            self._misplaced.remove(row.position)
        elif not is_published:
            self.result.unpublished += 1
        elif len(self._missing) < MOST_REMEMBERED:
            self._missing.add(row.position)
        else:
            self._add_of(row, "not-published", f"{topic.name}/{number} does not have it")

    async def _is_later(self, place: Place, record: Record, position: int) -> bool:
        """Whether the head is the fact of a later position; else it is dealt with here."""
        judged = await self._judge.judge(record)
        if judged.row is None:
            self._tell_stranger(record, judged)
            return False
        topic = self._topic(judged.row.type)
        key = id_text(judged.row.aggregate_id).encode()
        if topic is not None and (topic.name, partition_of(key, topic)) != place:
            self._tell_misplaced(record, judged.row, position)
            return False
        if judged.row.position > position:
            self._ahead[place] = judged.row.position
            return True
        if judged.row.position in self._missing:
            self._missing.remove(judged.row.position)
            self._add_of(judged.row, "out-of-order", "its record lies behind later ones", record)
        else:
            self.result.repeats += 1
        self._compare(record, judged.row)
        return False

    def _tell_misplaced(self, record: Record, row: StoredRow, position: int) -> None:
        if row.position in self._missing:
            self._missing.remove(row.position)
        elif row.position > position:
            self._misplaced.add(row.position)
        self._add_of(row, "misplaced", "its key belongs to another partition", record)

    def _tell_stranger(self, record: Record, judged: Judged) -> None:
        if judged.verdict == "foreign" or judged.envelope is None:
            self.result.foreign += 1
            return
        told = {"fork": "the store has another fact of this version", "not-stored": "not there"}
        kind: Kind = "fork" if judged.verdict == "fork" else "not-stored"
        self.result.findings.add(
            Difference(
                kind,
                told[kind],
                judged.envelope.position,
                judged.envelope.aggregate_id,
                judged.envelope.version,
                _where(record),
            )
        )

    def _compare(self, record: Record, row: StoredRow) -> None:
        if parts := unlike(record, row, self._service):
            self._add_of(row, "record-differs", f"not the same: {', '.join(parts)}", record)

    async def _drain(self) -> None:
        """What lies behind the records of the last stored facts."""
        last = 2**63
        for place, queue in self._queues.items():
            while record := await queue.head():
                await self._is_later(place, record, last)
                queue.pop()

    async def _tell_missing(self) -> None:
        missing = sorted(self._missing)
        found = await self._connection.execute(NAMES, (missing[:MOST_SHOWN],))
        names = {position: rest for position, *rest in await found.fetchall()}
        for position in missing:
            named = names.get(position, ())
            self.result.findings.add(
                Difference("not-published", "no partition has it", position, *named)
            )

    def _topic(self, fact_type: str) -> Topic[Any] | None:
        """Of a superseded type too, and of one that this release does not know yet."""
        try:
            known = self._topic_of.get(unversioned(fact_type))
            return known or self._topic_of.get(unversioned(current_type(fact_type).fact_type))
        except UnknownFact:
            return None

    def _add(self, kind: Kind, what: str, **where: Any) -> None:
        self.result.findings.add(Difference(kind, what, **where))

    def _add_of(self, row: StoredRow, kind: Kind, what: str, record: Record | None = None) -> None:
        where = _where(record) if record else None
        found = Difference(kind, what, row.position, row.aggregate_id, row.version, where)
        self.result.findings.add(found)


def _chain_of(row: StoredRow, before: bytes) -> bytes:
    digest = fact_digest(
        aggregate_id=row.aggregate_id,
        version=row.version,
        type=row.type,
        event_id=row.event_id,
        occurred_at=row.occurred_at,
        actor_id=row.actor_id,
        data=row.data,
    )
    return chained(before, digest)


def _where(record: Record) -> str:
    return f"{record.topic}/{record.partition}/{record.offset}"
