"""A read model that is projected from topics, filled as far as the live delivery has come."""

import asyncio
import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from typing import Any, LiteralString

from psycopg import Connection, sql

from chassis.consuming import tracking
from chassis.consuming.reading import HoleInTopic, Reader
from chassis.consuming.records import Record
from chassis.consuming.subscribers import Reactions, subscribers_of
from chassis.consuming.tracking import NOTHING, Place
from chassis.rebuilding.folding import Folding
from chassis.rebuilding.source import RebuildRefused, Taken
from chassis.rebuilding.waves import Read

TRACKED: LiteralString = (
    'SELECT topic, partition, "offset" FROM tracking WHERE subscriber = %s AND topic = ANY (%s)'
)
# Of each aggregate both have taken the same facts.
SEEN_APART: LiteralString = """
SELECT aggregate_id, live.version, folded.version, count(*) OVER ()
FROM (SELECT * FROM sequences WHERE subscriber = {name}) live
FULL JOIN {seen} folded USING (aggregate_id)
WHERE (live.version, live.chain) IS DISTINCT FROM (folded.version, folded.chain)
ORDER BY 1 LIMIT 20"""


# Of aggregates that were tracked otherwise: what comes next is then taken, and nothing twice.
PUT_RIGHT: LiteralString = """
WITH unseen AS (
    DELETE FROM sequences WHERE subscriber = {name}
        AND aggregate_id NOT IN (SELECT aggregate_id FROM {seen}))
INSERT INTO sequences (subscriber, aggregate_id, version, chain)
SELECT {name}, aggregate_id, version, chain FROM {seen}
ON CONFLICT (subscriber, aggregate_id)
    DO UPDATE SET version = excluded.version, chain = excluded.chain
    WHERE sequences.version <> excluded.version OR sequences.chain <> excluded.chain"""


SELDOM = 1_000_000  # objects made and still alive, before circles among them are looked for


class TrackedAhead(RebuildRefused):
    """More is tracked than lies on a topic, which was made anew or has lost its end: see `prm lag
    reset`.
    """


class TrackingMoved(RebuildRefused):
    """The live delivery was set back meanwhile, as by `prm lag reset`: begin again."""


class FromTopics:
    """Folds what the live subscriber has taken, and no more: both can be compared at equal offsets.

    Raises TrackingMoved, and what Folding and Reader do.
    """

    def __init__(
        self, connection: Connection[Any], service: Reactions, name: str, bootstrap: str
    ) -> None:
        self._connection, self._service, self._name = connection, service, name
        self._parts = [it for it in service.projections if it.name == name]
        self._topics = {part.topic.name: part.topic for part in self._parts}
        self._reader = Reader(bootstrap)
        self._places = sorted(
            Place(topic.name, number)
            for topic in self._topics.values()
            for number in range(topic.partitions)
        )
        self._next = dict.fromkeys(self._places, 0)
        self._until = dict.fromkeys(self._places, 0)
        self._ahead: list[str] = []
        self._seen = sql.Identifier("pg_temp", "seen")
        self.tables: tuple[str, ...] = (name,)

    def begin(self) -> None:
        [subscriber] = [it for it in subscribers_of(self._service) if it.name == self._name]
        self._folding = Folding(self._connection, subscriber, self._parts, self._seen)

    def put_right(self) -> None:
        query = sql.SQL(PUT_RIGHT).format(name=sql.Literal(self._name), seen=self._seen)
        self._connection.execute(query)

    async def close(self) -> None:
        await self._reader.close()

    @property
    def left(self) -> int:
        return sum(self._until[place] - self._next[place] for place in self._places)

    async def look(self) -> None:
        self._set_out(
            self._connection.execute(TRACKED, (self._name, list(self._topics))).fetchall()
        )
        ends = await self._reader.bounds(self._places)
        self._ahead = [
            f"{place.topic}/{place.partition}: {self._until[place] - 1} is tracked, but it ends at"
            f" {ends[place][1]}"
            for place in self._places
            if self._until[place] > ends[place][1]
        ]
        for place, (first, _) in ends.items():
            if self._next[place] < first:
                raise HoleInTopic(f"{place.topic}/{place.partition} begins at {first}")
        for place in self._places:
            self._until[place] = max(self._next[place], min(self._until[place], ends[place][1]))

    def hold(self) -> None:
        if self._ahead:
            raise TrackedAhead("; ".join(self._ahead))
        columns = [[self._name] * len(self._places), *map(list, zip(*self._places, strict=True))]
        self._connection.execute(tracking.MAKE, columns)
        self._set_out([row[1:] for row in self._connection.execute(tracking.LOCK, columns)])

    def _set_out(self, rows: Sequence[tuple[str, int, int]]) -> None:
        tracked = {Place(topic, partition): offset for topic, partition, offset in rows}
        for place in self._places:
            self._until[place] = tracked.get(place, NOTHING) + 1
            if self._until[place] < self._next[place]:
                raise TrackingMoved(f"{place.topic}/{place.partition}")
        self._folding.look_at_parked()

    async def fold(self, taken: Taken) -> None:
        wanted = {place: range(self._next[place], self._until[place]) for place in self._places}
        loop = asyncio.get_running_loop()
        applying: asyncio.Future[None] = loop.create_future()
        applying.set_result(None)
        with rarely_collected():
            try:
                async with aclosing(self._reader.stretches(wanted)) as stretches:
                    async for records in stretches:
                        read = self._folding.read(records)  # while the server takes those before
                        await applying
                        # A task would begin once this one waits, which is when all is read.
                        applying = loop.run_in_executor(None, self._apply, records, read, taken)
            finally:
                await applying

    def _apply(self, records: Sequence[Record], read: list[Read], taken: Taken) -> None:
        self._folding.apply(read)
        for record in records:
            self._next[Place(record.topic, record.partition)] = record.offset + 1
        taken(len(records))

    def mark(self) -> Callable[[], None]:
        before, left_out = dict(self._next), set(self._folding.left_out)

        def set_back() -> None:
            self._next = before
            self._folding.set_back(left_out)

        return set_back

    def disagreements(self) -> list[str]:
        query = sql.SQL(SEEN_APART).format(name=sql.Literal(self._name), seen=self._seen)
        rows = self._connection.execute(query).fetchall()
        more = [f"and {rows[0][3] - len(rows)} more"] if rows and rows[0][3] > len(rows) else []
        return [
            *self._ahead,
            *(
                f"{aggregate_id} is tracked at {live}, by its facts it is at {folded}"
                for aggregate_id, live, folded, _ in rows
            ),
            *more,
        ]


@contextmanager
def rarely_collected() -> Iterator[None]:
    """Thousands of facts are alive at a time, in no circles: to look for some takes long."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
