"""A window of records, committed: in one transaction, or in as many as its facts make necessary."""

import logging
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, LiteralString
from uuid import UUID

import psycopg

from chassis.consuming import tracking
from chassis.consuming.intake import House, Intake, failed_by, is_passing
from chassis.consuming.parking import Fate
from chassis.consuming.records import Envelope, Record, Untrustworthy, read_envelope
from chassis.consuming.sessions import Sessions
from chassis.consuming.tracking import NOTHING, Place, Track, Turn
from chassis.storage.rounds import Connection
from chassis.storage.snapshots import keep
from chassis.storage.window import AlreadyDone, Clash, lock_append
from prm_contracts.facts import Topic, UnknownFact, current_type

log = logging.getLogger(__name__)

MOST_RECORDS = 500  # in one transaction

# A death from outside hits whatever is current, but hardly the same fact twice in the moment that
# it takes alone: who is killed again and again for other reasons parks nothing.
DEATHS_UNTIL_ALONE, DEATHS_UNTIL_PARKED = 1, 3

# A note stays while windows follow each other: one that is found tells of a life that ended in one
# of them, and all that it had committed is tracked. So whatever comes first now was current then.
BEGIN: LiteralString = """
INSERT INTO underway (topic, partition, "offset", starts)
SELECT *, %s FROM unnest(%s::text[], %s::int[], %s::bigint[]) ORDER BY 1, 2
ON CONFLICT (topic, partition) DO UPDATE SET "offset" = excluded."offset",
    starts = CASE WHEN excluded.starts > 1 THEN excluded.starts
        WHEN underway."offset" = excluded."offset" THEN underway.starts + 1
        WHEN underway."offset" < excluded."offset" THEN 2 ELSE 1 END
RETURNING topic, partition, starts"""
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


PLAIN = How()


class Killer(Exception):
    """Transactions that began with this record have ended their process; with `starts` of 1, one
    that began before it may have.
    """

    def __init__(self, place: Place, starts: int) -> None:
        super().__init__(place, starts)
        self.place, self.starts = place, starts


class Windows:
    """`topics`: by name, those that are consumed."""

    def __init__(self, house: House, sessions: Sessions, topics: dict[str, Topic[Any]]) -> None:
        self._house, self._sessions, self._topics = house, sessions, topics
        self._done: frozenset[UUID] = frozenset()
        self._underway: set[Place] = set()  # what this life has noted, and not ended
        self._is_busy = False
        # How many more are taken one by one: the window that was current at the last death may
        # come in parts, and whoever ended the process in a later one.
        self._suspects = 0

    async def rest(self, *, at_once: bool = False) -> None:
        """Ends what is noted, if no window began since the last call. Raises psycopg's errors."""
        if at_once or not self._is_busy:
            self._suspects = 0
            if self._underway:
                await self._end(self._underway)
        self._is_busy = False

    async def _end(self, places: Collection[Place]) -> None:
        await self._sessions.note(END, places)
        self._underway = self._underway.difference(places)

    async def settle(self, records: Sequence[Record], how: How = PLAIN) -> None:
        """Returns once the effect of all is committed. Raises Hole, Rewound, psycopg's errors."""
        try:
            await self._commit_once(records, how)
        except AlreadyDone as known:
            self._done |= set(known.command_ids)
            await self.settle(records, how)
        except Killer as killer:
            await self._one_by_one(records, killer)
        except Clash:
            if len(records) > 1:
                await self._halves(records, how)
            else:
                again = replace(how, has_clashed=True, is_locked=how.has_clashed)
                await self.settle(records, again)
        except (Hole, Rewound):
            raise
        except Exception as fault:
            if is_passing(fault):
                raise
            await self._failed(records, how, fault)

    async def _halves(self, records: Sequence[Record], how: How) -> None:
        middle = len(records) // 2
        await self.settle(records[:middle], how)
        await self.settle(records[middle:], how)

    async def _failed(self, records: Sequence[Record], how: How, fault: Exception) -> None:
        if not how.is_careful:
            await self.settle(records, replace(how, is_careful=True))
        elif len(records) > 1:
            await self._halves(records, how)
        elif how.doomed is None:
            await self.settle(records, replace(how, doomed=failed_by(fault)))
        else:
            raise fault

    async def _one_by_one(self, records: Sequence[Record], killer: Killer) -> None:
        """The first that is new in the killer's partition was current at the last death."""
        if killer.starts > DEATHS_UNTIL_ALONE:
            log.error("%s/%s: ended its process %s times", *killer.place, killer.starts - 1)
            self._suspects = MOST_RECORDS
        self._suspects = max(0, self._suspects - len(records))
        doomed = Fate("failed", f"it ended its process {killer.starts - 1} times", is_final=True)
        alone = DEATHS_UNTIL_ALONE + 1
        is_found = killer.starts <= alone  # nobody was alone yet
        places = {Place(record.topic, record.partition) for record in records}
        await self._end(places)
        for record in records:
            how = How(is_careful=True, starts=alone)
            at_killer = Place(record.topic, record.partition) == killer.place
            if not is_found and at_killer and await self._is_new(record):
                is_found, how = True, replace(how, starts=killer.starts)
                if killer.starts > DEATHS_UNTIL_PARKED:
                    how = replace(how, doomed=doomed)
            await self.settle([record], how)
        await self._end(places)

    async def _is_new(self, record: Record) -> bool:
        offsets = await tracking.offsets(await self._sessions.notes())
        mine = [
            offsets.get(Track(each.name, record.topic, record.partition), NOTHING)
            for each in self._house.on(record.topic)
        ]
        return record.offset > min(mine, default=NOTHING)

    async def _commit_once(self, records: Sequence[Record], how: How) -> None:
        metrics, began_at = self._house.sight.metrics, time.perf_counter()
        self._is_busy = True
        try:
            async with self._sessions.transaction() as connection:
                intake = await self._take_all(connection, records, how)
                await intake.append_and_commit()
        except Killer:
            raise
        except Exception as fault:
            metrics.window_failures.labels(type(fault).__name__).inc()
            raise
        metrics.window_facts.observe(len(records))
        metrics.window_seconds.observe(time.perf_counter() - began_at)
        await self._keep_snapshots(intake)

    async def _take_all(
        self, connection: Connection, records: Sequence[Record], how: How
    ) -> Intake:
        """All but the append."""
        if how.is_locked:
            await lock_append(connection)
        tracks = {
            Track(subscriber.name, record.topic, record.partition)
            for record in records
            for subscriber in self._house.on(record.topic)
        }
        intake = Intake(self._house, connection, is_careful=how.is_careful, done=self._done)
        found = [(record, self._read(record)) for record in records]
        envelopes = [read for _, read in found if isinstance(read, Envelope)]
        offsets, known = await tracking.lock(connection, tracks, lambda: intake.ask(envelopes))
        intake.know(known)
        await intake.look_for_done(envelopes)
        await self._begin(records, offsets, how)
        await self._offer_all(intake, found, offsets, how)
        intake.write(offsets)
        return intake

    async def _offer_all(
        self,
        intake: Intake,
        records: Iterable[tuple[Record, Envelope | Untrustworthy]],
        offsets: dict[Track, int],
        how: How,
    ) -> None:
        taken = dict(offsets)
        for record, found in records:
            is_unreadable = False
            for subscriber in self._house.on(record.topic):
                track = Track(subscriber.name, record.topic, record.partition)
                if record.offset > offsets[track] + 1:
                    raise _hole(record, taken)
                if record.offset <= offsets[track]:
                    _expect_seen(intake, found, track)
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
        topic = self._topics[record.topic]
        try:
            envelope = read_envelope(record, topic.owner)
        except Untrustworthy as reason:
            return reason
        if _lies_elsewhere(envelope.type, topic):
            return Untrustworthy(f"{envelope.type} does not lie on this topic")
        return envelope

    async def _begin(self, records: Iterable[Record], offsets: dict[Track, int], how: How) -> None:
        """Notes what begins, before it does: it outlives this process. Raises Killer.

        Once for windows that follow each other; each fact by itself once one is suspected.
        """
        firsts: dict[Place, int] = {}
        for record in records:
            place = Place(record.topic, record.partition)
            last = min((at for track, at in offsets.items() if track.place == place), default=0)
            if record.offset > last:
                firsts.setdefault(place, record.offset)
        if not how.is_alone:
            firsts = {place: at for place, at in firsts.items() if place not in self._underway}
        if not firsts:
            return
        notes = await self._sessions.notes()
        columns = [list(column) for column in zip(*firsts, strict=True)]
        values = (how.starts, *columns, list(firsts.values()))
        found = await notes.now(BEGIN, values)
        self._underway |= firsts.keys()
        # What others brought may have been on the way as well when one ended its process.
        topic, partition, starts = max(found.rows, key=lambda row: row[2])
        if (starts > DEATHS_UNTIL_ALONE or self._suspects) and not how.is_alone:
            raise Killer(Place(topic, partition), starts)

    async def _keep_snapshots(self, intake: Intake) -> None:
        if intake.window.snapshots:
            try:
                await keep(await self._sessions.notes(), intake.window.snapshots)
            except psycopg.Error as fault:
                log.warning("snapshot not stored: %s", fault)


def _lies_elsewhere(fact_type: str, topic: Topic[Any]) -> bool:
    """Of a name that nobody knows it is not known where it belongs."""
    try:
        return current_type(fact_type) not in topic.facts
    except UnknownFact:
        return False


def _hole(record: Record, taken: Mapping[Track, int]) -> Hole:
    """From the subscriber on that is farthest behind: its transaction will not have happened."""
    place = Place(record.topic, record.partition)
    behind = min(offset for track, offset in taken.items() if track.place == place)
    return Hole(place, behind + 1, record.offset)


def _expect_seen(intake: Intake, found: Envelope | Untrustworthy, track: Track) -> None:
    """Raises Rewound."""
    if isinstance(found, Untrustworthy):
        return
    if not intake.has_seen(Turn(track.subscriber, found.aggregate_id), found):
        raise Rewound(track.place)
