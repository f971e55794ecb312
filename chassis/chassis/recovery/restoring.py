"""An event store brought forward from its topics: wholly, in one transaction, or not at all."""

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, LiteralString
from uuid import UUID

from chassis.consuming.tracking import Place
from chassis.publishing.relay import LEADER
from chassis.recovery.candidates import LAST, Candidate, Candidates, Passed
from chassis.recovery.log import Log, Queue, places_of
from chassis.storage.rounds import Connection
from chassis.storage.window import lock_append
from chassis.storage.wire import FIRST_CHAIN
from prm_contracts.facts import Topic

Progress = Callable[[int, int], None]  # records read, of how many

TELL_EVERY = 500  # facts
NEVER = 2**63  # beyond all positions
MOST_TOLD = 20  # of a kind of trouble, in a refusal

COLUMNS = (
    *("position", "aggregate_id", "version", "type", "data", "event_id", "occurred_at"),
    *("recorded_at", "actor_id", "command_id", "command_place", "request_hash"),
    *("correlation_id", "causation_id", "traceparent", "chain", "outcome"),
)
COPY = f"COPY events ({', '.join(COLUMNS)}) FROM STDIN"
NEWEST: LiteralString = (
    "SELECT position, command_id, command_place FROM events ORDER BY position DESC LIMIT 1"
)
CONFIRMED: LiteralString = "SELECT position FROM relay"
INTERRUPTED: LiteralString = "SELECT EXISTS (SELECT FROM restorations WHERE ended_at IS NULL)"
CONFIRM: LiteralString = "UPDATE relay SET position = %s"
NOTE: LiteralString = (
    "INSERT INTO restorations (head_before, head, letters) VALUES (%s, %s, %s) RETURNING id"
)
LOSE: LiteralString = (
    "INSERT INTO lost_facts (restoration, aggregate_id, first, last) VALUES (%s, %s, %s, %s)"
)
MARK: LiteralString = """
INSERT INTO reoffered (topic, partition, "offset") VALUES (%s, %s, %s)
ON CONFLICT (topic, partition) DO UPDATE SET "offset" = excluded."offset"
WHERE excluded."offset" > reoffered."offset" """


class StillRunning(RuntimeError):
    """A relay leads this store: its service runs, and is to be stopped first."""


class Refused(RuntimeError):
    """Nothing was changed. The text says what is in the way, and the way out."""


@dataclass
class Restored:
    """`before`, `head`: the store's last position then and now; `facts`: how many came; `lost`
    positions and, by aggregate, versions, each first and last; `beyond`: records passed over, which
    claim positions so far above all others that nobody can have lost what lies between.
    """

    before: int = 0
    head: int = 0
    facts: int = 0
    passed: Passed = field(default_factory=Passed)
    lost_positions: list[tuple[int, int]] = field(default_factory=list)
    lost_versions: list[tuple[UUID, int, int]] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    beyond: list[str] = field(default_factory=list)
    is_to_be_ended: bool = False

    @property
    def lost(self) -> list[str]:
        """Each loss as a line."""
        lines = []
        for first, last in self.lost_positions:
            claimed = self.passed.claims.get(first)
            hint = f" (a record that claims it, {claimed}, does not follow its predecessor)"
            lines.append(f"position {_span(first, last)}{hint if claimed else ''}")
        lines += [
            f"version {_span(first, last)} of {stream}"
            for stream, first, last in self.lost_versions
        ]
        return lines


class Restoration:
    """One use. `accept_loss`: goes on over what is lost; `not_ours`: topic/partition/offset."""

    def __init__(
        self,
        connection: Connection,
        service: str,
        topics: Sequence[Topic[Any]],
        *,
        accept_loss: bool = False,
        not_ours: frozenset[str] = frozenset(),
    ) -> None:
        self.result = Restored()
        self._connection, self._service = connection, service
        self._topics = {topic.name: topic for topic in topics}
        self._accept_loss, self._not_ours = accept_loss, not_ours
        self._orphans: dict[int, list[Candidate]] = {}
        self._heads: list[tuple[int, int, Candidate]] = []
        self._readers: list[Candidates] = []
        self._reader_at: dict[Place, int] = {}
        self._rows: list[tuple[Any, ...]] = []
        self._expected = 1
        self._command: tuple[UUID | None, int] = (None, 0)

    async def run(
        self,
        bootstrap: str,
        reoffered: Mapping[Place, int],
        letters: int,
        progress: Progress = lambda *_: None,
    ) -> Restored:
        """`reoffered`: last offsets of the topics that the service reads; `letters`: the end of its
        dead letters. Raises StillRunning, Refused, TopicMissing, errors of psycopg and aiokafka.
        """
        async with self._connection.transaction():
            confirmed = await self._begin()
            async with Log(bootstrap, places_of(self._topics.values())) as log:
                await self._merge(log, progress)
            self._refuse()
            await self._end(confirmed, reoffered, letters)
        return self.result

    async def _begin(self) -> int:
        """Alone with the store. Answers the position that the relay has confirmed."""
        execute = self._connection.execute
        found = await execute("SELECT pg_try_advisory_xact_lock(%s)", (LEADER,))
        if not (await found.fetchall())[0][0]:
            raise StillRunning(f"{self._service} runs: its relay leads")
        await lock_append(self._connection)
        for plan in ("seqscan", "hashjoin", "mergejoin"):  # the table has no statistics yet
            await execute(f"SET LOCAL enable_{plan} = off".encode())
        if newest := await (await execute(NEWEST)).fetchone():
            self.result.before, *command = newest
            self._command = (command[0], command[1])
        self.result.head, self._expected = self.result.before, self.result.before + 1
        [(confirmed,)] = await (await execute(CONFIRMED)).fetchall()
        self.result.passed.known_above = confirmed
        return int(confirmed)

    async def _merge(self, log: Log, progress: Progress) -> None:
        queues = [Queue(log, place) for place in log.bounds]
        for number, queue in enumerate(queues):
            topic = self._topics[queue.place.topic]
            reader = Candidates(queue, topic, self.result.passed, self._orphans, self._not_ours)
            self._readers.append(reader)
            self._reader_at[queue.place] = number
        for number in range(len(self._readers)):
            await self._advance(number)
        size, told = log.size, 0
        while self._heads or self._orphans:
            await self._step(size)
            told += 1
            if not told % TELL_EVERY:
                progress(sum(queue.read for queue in queues), size)
        await self._flush()

    async def _advance(self, number: int) -> None:
        """The next candidate of the partition joins the heads."""
        reader = self._readers[number]
        while True:
            if reader.must_load:
                await self._flush()
            if found := await reader.next(self._connection):
                heapq.heappush(self._heads, (found.position, number, found))
                return
            if reader.is_at_end:
                return

    async def _step(self, size: int) -> None:
        """One position settled, or one record passed over."""
        first = self._heads[0][0] if self._heads else None
        if first is not None and first <= self._expected:
            _, number, candidate = heapq.heappop(self._heads)
            if first == self._expected:
                self._take(candidate)
            else:
                self.result.doubled.append(f"position {first}: {candidate.where}")
            self._readers[number].take(candidate)
            await self._advance(number)
            return
        orphan = min(self._orphans, default=NEVER)
        if first is None or orphan < first:
            await self._settle(orphan, size)
        elif first - self._expected > size:
            _, number, candidate = heapq.heappop(self._heads)
            self._orphans.setdefault(first, []).append(candidate)
            await self._advance(number)
        else:
            self._lose_positions(first)

    async def _settle(self, position: int, size: int) -> None:
        """Records that followed nothing when they were read: all before them is settled now."""
        for candidate in self._orphans.pop(position):
            it = candidate.envelope
            await self._flush()
            found = await self._connection.execute(LAST, ([it.aggregate_id],), binary=True)
            row = await found.fetchone()
            version, chain = (row[1], row[2]) if row else (0, FIRST_CHAIN)
            if position - self._expected > size:
                self.result.beyond.append(f"position {position}: {candidate.where}")
            elif position < self._expected or it.version <= version:
                self.result.passed.foreign += 1
            elif it.version > version + 1 or it.follows(chain):
                self._lose_positions(position)
                if it.version > version + 1:
                    lost = (it.aggregate_id, version + 1, it.version - 1)
                    self.result.lost_versions.append(lost)
                self._take(candidate)
                place = Place(it.record.topic, it.record.partition)
                self._readers[self._reader_at[place]].take(candidate)
            else:
                self.result.passed.foreign += 1

    def _lose_positions(self, until: int) -> None:
        if until > self._expected:
            self.result.lost_positions.append((self._expected, until - 1))
            self._expected = until

    def _take(self, candidate: Candidate) -> None:
        row = candidate.row()
        known, place = self._command
        self._command = row.command_id, place + 1 if row.command_id == known else 1
        named = row._asdict() | {"command_place": self._command[1]}
        self._rows.append(tuple(named[column] for column in COLUMNS))
        self._expected = row.position + 1

    async def _flush(self) -> None:
        rows, self._rows = self._rows, []
        if not rows:
            return
        async with self._connection.cursor() as cursor, cursor.copy(COPY.encode()) as copy:
            for row in rows:
                await copy.write_row(row)
        self.result.facts += len(rows)
        self.result.head = rows[-1][0]

    def _refuse(self) -> None:
        """Raises Refused, if anything is in the way; then nothing has happened."""
        result = self.result
        if result.passed.forks or result.doubled:
            raise Refused(
                _listed("Two histories", [*result.passed.forks, *result.doubled])
                + "\nPass over a record that is not of this house: --foreign TOPIC/PARTITION/OFFSET"
                "\nIf the database went on by itself after it was set back: --afresh puts it aside,"
                "\nand refills an empty one; what only the other recorded was never published."
            )
        if result.lost and not self._accept_loss:
            raise Refused(
                _listed("Lost, as far as the topics tell", result.lost)
                + "\nBring back a backup that has them, and restore again from there; or accept the"
                "\nloss with --accept-loss: the store goes on, and never gives these numbers again."
            )

    async def _end(self, confirmed: int, reoffered: Mapping[Place, int], letters: int) -> None:
        execute, result = self._connection.execute, self.result
        [(is_interrupted,)] = await (await execute(INTERRUPTED)).fetchall()
        result.is_to_be_ended = is_interrupted or result.facts > 0
        if result.facts:
            await execute(CONFIRM, (self._published(confirmed),))
            found = await execute(NOTE, (result.before, result.head, letters))
            [(number,)] = await found.fetchall()
            for first, last in result.lost_positions:
                await execute(LOSE, (number, None, first, last))
            for lost in result.lost_versions:
                await execute(LOSE, (number, *lost))
            for place, offset in reoffered.items():
                await execute(MARK, (*place, offset))

    def _published(self, confirmed: int) -> int:
        """The last position up to which the topics have all: the relay goes on behind it."""
        at = confirmed
        while at < self.result.before and at + 1 in self.result.passed.known:
            at += 1
        return self.result.head if at >= self.result.before else at


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first} to {last}"


def _listed(what: str, lines: Sequence[str]) -> str:
    more = [f"... and {len(lines) - MOST_TOLD} more"] if len(lines) > MOST_TOLD else []
    return "\n  ".join([f"{what}:", *lines[:MOST_TOLD], *more])
