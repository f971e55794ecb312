"""The one committer of a worker: all that waits, of all topics, in one transaction after another."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from aiokafka.errors import KafkaError
from psycopg import AsyncConnection

from chassis import parking, tracking
from chassis.intake import House, Intake, is_passing
from chassis.parking import Fate, Head
from chassis.postgres import connected
from chassis.reading import Reader
from chassis.records import Envelope, Record, Untrustworthy, read_envelope
from chassis.snapshots import keep
from chassis.subscribers import Subscriber
from chassis.tracking import NOTHING, Place, Track, Turn
from chassis.window import AlreadyDone, Clash, lock_append
from prm_contracts.facts import Topic, UnknownFact, current_type

log = logging.getLogger(__name__)

MOST_RECORDS = 500  # in one transaction
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0  # seconds, after a failure that passes
DEATHS_UNTIL_ALONE = 2
DEATHS_UNTIL_PARKED = 3

BEGIN: LiteralString = """
INSERT INTO underway (topic, partition, "offset", starts) VALUES (%s, %s, %s, %s)
ON CONFLICT (topic, partition) DO UPDATE SET "offset" = excluded."offset",
    starts = CASE WHEN underway."offset" = excluded."offset" AND excluded.starts = 1
        THEN underway.starts + 1 ELSE excluded.starts END
RETURNING starts"""
SURVIVED: LiteralString = (
    "UPDATE underway SET starts = starts - 1 WHERE (topic, partition) = (%s, %s)"
)
END: LiteralString = "DELETE FROM underway WHERE (topic, partition) = (%s, %s)"


class Hole(Exception):
    """Offsets that were not handed over: to be read before what comes behind them."""

    def __init__(self, place: Place, start: int, stop: int) -> None:
        super().__init__(place, start, stop)
        self.place, self.start, self.stop = place, start, stop


class Rewound(Exception):
    """A partition brings new facts under offsets that were taken: it was made anew."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.place = place


@dataclass(frozen=True)
class How:
    """`is_careful`: with savepoints; `is_locked`: under the append lock from the start;
    `starts`: noted with what begins; `doomed`: why its one fact is parked without a try.
    """

    is_careful: bool = False
    is_locked: bool = False
    has_clashed: bool = False
    starts: int = 1
    doomed: Fate | None = None

    @property
    def is_alone(self) -> bool:
        return self.starts > 1


class Killer(Exception):
    """Transactions that began with the same record have ended their process too often."""

    def __init__(self, place: Place, starts: int) -> None:
        super().__init__(place, starts)
        self.place, self.starts = place, starts


class Committer:
    """`stopped`: partitions that nobody takes records from, and why; `reason`: why nothing is
    committed now, if so.
    """

    def __init__(
        self,
        house: House,
        dsn: str,
        reader: Reader,
        topics: dict[str, Topic[Any]],
        on_committed: Callable[[], None] = lambda: None,
    ) -> None:
        self.stopped: dict[Place, str] = {}
        self.reason: str | None = None
        self._house, self._dsn, self._reader, self._topics = house, dsn, reader, topics
        self._on_committed = on_committed
        self._subscribers = {each.name: each for each in house.subscribers}
        self._connection: AsyncConnection[Any] | None = None
        self._notes: AsyncConnection[Any] | None = None
        self._waiting: list[tuple[Sequence[Record], asyncio.Future[None]]] = []
        self._arrived = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._done: frozenset[UUID] = frozenset()
        self._is_stopping = False

    async def commit(self, records: Sequence[Record]) -> None:
        """Returns once the effect of all is durable; never raises but for its cancellation."""
        committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((records, committed))
        self._arrived.set()
        await committed

    async def run(self) -> None:
        """Until `stop`."""
        while not self._is_stopping:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting and not self._is_stopping:
                batch = self._next_batch()
                await self.settle([record for records, _ in batch for record in records])
                if not self._is_stopping:
                    for _, committed in batch:
                        if not committed.done():
                            committed.set_result(None)

    def _next_batch(self) -> list[tuple[Sequence[Record], asyncio.Future[None]]]:
        count = size = 0
        for records, _ in self._waiting:
            if count and size + len(records) > MOST_RECORDS:
                break
            count, size = count + 1, size + len(records)
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch

    def stop(self) -> None:
        """The transaction that is open ends; nothing else begins."""
        self._is_stopping = True
        self._arrived.set()

    async def close(self) -> None:
        for connection in (self._connection, self._notes):
            if connection is not None:
                await connection.close()

    async def settle(self, records: Sequence[Record]) -> None:
        """Returns once their effect is committed, or after `stop`."""

        async def work() -> None:
            await self._filled(records)

        await self.persist(work)

    async def catch_up(self, place: Place, start: int, stop: int) -> None:
        """What nobody handed over, though it is there."""

        async def work() -> None:
            await self._fill(Hole(place, start, stop))

        await self.persist(work)

    async def persist(self, work: Callable[[], Any]) -> None:
        """Runs it alone, and again after each failure that passes by itself."""
        pause = FIRST_PAUSE
        async with self._one_at_a_time:
            while not self._is_stopping:
                try:
                    await work()
                    self.reason = None
                    self._on_committed()
                    return
                except (psycopg.Error, KafkaError, OSError, TimeoutError) as failure:
                    await self._report(f"delivery: {type(failure).__name__} {failure}")
                except Exception as fault:  # a bug of this module stops it, and is seen
                    log.exception("delivery")
                    await self._report(f"delivery: {type(fault).__name__} {fault}")
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    async def _report(self, reason: str) -> None:
        if self.reason != reason:
            log.warning(reason)
        self.reason = reason
        for connection in (self._connection, self._notes):
            if connection is not None:
                with suppress(psycopg.Error):
                    await connection.close()
        self._connection = self._notes = None

    async def _filled(self, records: Sequence[Record]) -> None:
        while True:
            try:
                records = [
                    it for it in records if Place(it.topic, it.partition) not in self.stopped
                ]
                if records:
                    await self._settled(records, How())
                return
            except Hole as hole:
                await self._fill(hole)
            except Rewound as rewound:
                self.halt(rewound.place, "it brings new facts under offsets that were taken")

    def halt(self, place: Place, why: str) -> None:
        """Its records are passed over: once it is set right they are read again."""
        if place not in self.stopped:
            log.error("%s/%s stopped: %s; see `prm lag reset`", *place, why)
        self.stopped[place] = f"{place.topic}/{place.partition}: {why}; see `prm lag reset`"

    async def _fill(self, hole: Hole) -> None:
        at = hole.start
        while at < hole.stop and not self._is_stopping and hole.place not in self.stopped:
            records = await self._reader.read(hole.place, at, hole.stop, MOST_RECORDS)
            if not records:
                raise TimeoutError(f"no records of {hole.place} at {at}")
            if records[0].offset > at:
                self.halt(hole.place, f"offsets from {at} on are gone")
                return
            log.info("%s/%s: reading %s to %s again", *hole.place, at, records[-1].offset)
            await self._settled(records, How())
            at = records[-1].offset + 1

    async def _settled(self, records: Sequence[Record], how: How) -> None:
        """Commits them in one transaction, or in as many as it takes."""
        try:
            await self._commit_once(records, how)
        except AlreadyDone as known:
            self._done |= set(known.command_ids)
            await self._settled(records, how)
        except Killer as killer:
            await self._one_by_one(records, killer)
        except Clash:
            if len(records) > 1:
                await self._halves(records, how)
            else:
                again = replace(how, has_clashed=True, is_locked=how.has_clashed)
                await self._settled(records, again)
        except (Hole, Rewound):
            raise
        except Exception as fault:
            if is_passing(fault):
                raise
            await self._failed(records, how, fault)

    async def _halves(self, records: Sequence[Record], how: How) -> None:
        middle = len(records) // 2
        await self._settled(records[:middle], how)
        await self._settled(records[middle:], how)

    async def _failed(self, records: Sequence[Record], how: How, fault: Exception) -> None:
        if not how.is_careful:
            await self._settled(records, replace(how, is_careful=True))
        elif len(records) > 1:
            await self._halves(records, how)
        elif how.doomed is None:
            await self._settled(records, replace(how, doomed=_failed_by(fault)))
        else:
            raise fault

    async def _one_by_one(self, records: Sequence[Record], killer: Killer) -> None:
        """The first that is new in the killer's partition was current at the last death."""
        log.error("%s/%s: ended its process %s times", *killer.place, killer.starts - 1)
        doomed = Fate("failed", f"it ended its process {killer.starts - 1} times", is_final=True)
        is_found = killer.starts <= DEATHS_UNTIL_PARKED
        await self._note(END, {Place(record.topic, record.partition) for record in records})
        for record in records:
            how = How(is_careful=True, starts=DEATHS_UNTIL_PARKED)
            at_killer = Place(record.topic, record.partition) == killer.place
            if not is_found and at_killer and await self._is_new(record):
                is_found, how = True, replace(how, doomed=doomed)
            await self._settled([record], how)

    async def _is_new(self, record: Record) -> bool:
        offsets = await tracking.offsets(await self._noting())
        mine = [
            offsets.get(Track(each.name, record.topic, record.partition), NOTHING)
            for each in self._house.on(record.topic)
        ]
        return record.offset > min(mine, default=NOTHING)

    async def _commit_once(self, records: Sequence[Record], how: How) -> None:
        begun: list[Place] = []
        try:
            async with self.transaction() as connection:
                intake = await self._take_all(connection, records, how, begun)
                await intake.append_and_commit()
        except Killer:
            raise
        except Exception:
            if self._connection is not None and not self._connection.closed:
                await self._note(SURVIVED, begun)  # rolled back in peace, it is nobody's death
            raise
        await self._keep_snapshots(intake)

    async def _take_all(
        self,
        connection: AsyncConnection[Any],
        records: Sequence[Record],
        how: How,
        begun: list[Place],
    ) -> Intake:
        """All but the append. `begun` tells what was noted, whatever happens."""
        if how.is_locked:
            await lock_append(connection)
        tracks = {
            Track(subscriber.name, record.topic, record.partition)
            for record in records
            for subscriber in self._house.on(record.topic)
        }
        offsets = await tracking.lock(connection, tracks) if tracks else {}
        await self._begin(records, offsets, how, begun)
        intake = Intake(self._house, connection, is_careful=how.is_careful, done=self._done)
        await self._offer_all(intake, records, offsets, how)
        await intake.write()
        await tracking.move(connection, offsets)
        for place in begun:
            await connection.execute(END, place, prepare=True)
        return intake

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection[Any]]:
        """The connection for one transaction, which whoever takes it commits."""
        if self._connection is None or self._connection.closed:
            self._connection = await connected(self._dsn, autocommit=False)
        connection = self._connection
        try:
            yield connection
        except BaseException:
            if not connection.closed:
                with suppress(psycopg.Error):
                    await connection.rollback()
            raise

    async def _offer_all(
        self, intake: Intake, records: Sequence[Record], offsets: dict[Track, int], how: How
    ) -> None:
        readable = {(it.topic, it.partition, it.offset): self._read(it) for it in records}
        await intake.prepare([it for it in readable.values() if isinstance(it, Envelope)])
        for record in records:
            found = readable[record.topic, record.partition, record.offset]
            is_unreadable = False
            for subscriber in self._house.on(record.topic):
                track = Track(subscriber.name, record.topic, record.partition)
                if not _is_next(record, offsets[track]):
                    if isinstance(found, Envelope):
                        self._expect_seen(intake, subscriber, found, track)
                    continue
                offsets[track] = record.offset
                if not isinstance(found, Envelope):
                    is_unreadable = True
                elif how.doomed:
                    intake.park(subscriber, found, how.doomed)
                else:
                    await intake.offer(subscriber, found)
            if is_unreadable:
                intake.park_unreadable(record, str(found))

    def _read(self, record: Record) -> Envelope | Untrustworthy:
        try:
            return read_envelope(record, self._topics[record.topic].owner)
        except Untrustworthy as reason:
            return reason

    def _expect_seen(
        self, intake: Intake, subscriber: Subscriber, envelope: Envelope, track: Track
    ) -> None:
        if not intake.has_seen(Turn(subscriber.name, envelope.aggregate_id), envelope):
            raise Rewound(track.place)

    async def _begin(
        self, records: Iterable[Record], offsets: dict[Track, int], how: How, begun: list[Place]
    ) -> None:
        """Notes what begins, before it does: it outlives this process. Raises Killer."""
        firsts: dict[Place, int] = {}
        for record in records:
            place = Place(record.topic, record.partition)
            last = min((at for track, at in offsets.items() if track.place == place), default=0)
            if record.offset > last:
                firsts.setdefault(place, record.offset)
        notes = await self._noting()
        for place, first in firsts.items():
            found = await notes.execute(BEGIN, (*place, first, how.starts), prepare=True)
            begun.append(place)
            [(starts,)] = await found.fetchall()
            if starts > DEATHS_UNTIL_ALONE and not how.is_alone:
                raise Killer(place, starts)

    async def _note(self, statement: LiteralString, places: Iterable[Place]) -> None:
        notes = await self._noting()
        for place in places:
            await notes.execute(statement, place, prepare=True)

    async def _keep_snapshots(self, intake: Intake) -> None:
        if intake.window.snapshots:
            try:
                await keep(await self._noting(), intake.window.snapshots)
            except psycopg.Error as fault:
                log.warning("snapshot not stored: %s", fault)

    async def _noting(self) -> AsyncConnection[Any]:
        """For notes that outlive the transaction; that of a crash of the server they need not."""
        if self._notes is None or self._notes.closed:
            self._notes = await connected(self._dsn)
            await self._notes.execute("SET synchronous_commit = off")
        return self._notes

    async def retry_parked(self) -> None:
        """The heads that are due, and what waits behind them."""

        async def work() -> None:
            for head in await parking.heads(await self._noting()):
                if await self._is_due(head) and not self._is_stopping:
                    await parking.begin_retry(await self._noting(), head, self._house.timing)
                    await self._retry(head, How(is_careful=True))

        await self.persist(work)

    async def _is_due(self, head: Head) -> bool:
        if head.state != "waiting" or head.subscriber not in self._subscribers:
            return False
        if head.kind == "held":
            is_over = head.held_until is not None and head.held_until <= self._house.now()
            return is_over or await self._is_based(head)
        if head.kind == "unknown":
            return _is_known(head.type)
        return head.is_due or head.kind == "behind"

    async def _is_based(self, head: Head) -> bool:
        notes = await self._noting()
        versions: dict[str, list[tuple[UUID, int]]] = defaultdict(list)
        for basis in head.bases():
            for subscriber in self._house.on(basis.topic):
                versions[subscriber.name].append((basis.aggregate_id, basis.version))
        for name, wanted in versions.items():
            if not await tracking.has_seen(notes, name, wanted):
                return False
        return True

    async def _retry(self, head: Head, how: How) -> None:
        try:
            await self._retry_transaction(head, how)
        except AlreadyDone as known:
            self._done |= set(known.command_ids)
            await self._retry(head, how)
        except Clash:
            await self._retry(head, replace(how, has_clashed=True, is_locked=how.has_clashed))
        except Exception as fault:
            if is_passing(fault) or how.doomed:
                raise
            await self._retry(head, replace(how, doomed=_failed_by(fault)))

    async def _retry_transaction(self, head: Head, how: How) -> None:
        async with self.transaction() as connection:
            if how.is_locked:
                await lock_append(connection)
            # Whoever takes records of this partition meanwhile might park behind what leaves here.
            await tracking.lock(connection, [Track(head.subscriber, head.topic, head.partition)])
            waiting = await parking.load(connection, head.turn)
            intake = Intake(self._house, connection, is_careful=True, done=self._done)
            await self._release(intake, head, waiting, how.doomed)
            await intake.append_and_commit()

    async def _release(
        self, intake: Intake, head: Head, waiting: Sequence[parking.Parked], doomed: Fate | None
    ) -> None:
        connection, now = intake.window.connection, self._house.now()
        subscriber = self._subscribers[head.subscriber]
        envelopes = [read_envelope(each.record) for each in waiting]
        await intake.prepare(envelopes)
        released: list[int] = []
        for each, envelope in zip(waiting, envelopes, strict=True):
            enough = each.held_until is not None and each.held_until <= now
            fate = doomed or await intake.attempt(subscriber, envelope, is_held_enough=enough)
            if fate is not None:
                # A retry was counted when it began.
                tried = each.attempts - (each.id == head.id and head.kind == "failed")
                await parking.park_again(
                    connection, replace(each, attempts=tried), fate, self._house.timing, now
                )
                break
            released.append(each.id)
        await parking.release(connection, released)
        await intake.write()


def _is_next(record: Record, last: int) -> bool:
    """False: it was taken. Raises Hole."""
    if record.offset > last + 1:
        raise Hole(Place(record.topic, record.partition), last + 1, record.offset)
    return record.offset == last + 1


def _failed_by(fault: Exception) -> Fate:
    return Fate("failed", f"{type(fault).__name__}: {fault}"[:500])


def _is_known(fact_type: str) -> bool:
    try:
        current_type(fact_type)
    except UnknownFact:
        return False
    return True
