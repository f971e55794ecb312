"""What each subscriber has seen: the offset of each partition, the version of each aggregate."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, LiteralString, NamedTuple, TypeVar
from uuid import UUID

from psycopg import AsyncConnection

from chassis.storage.rounds import Connection

A = TypeVar("A")
NOTHING = -1  # the offset of a partition of which nothing was taken yet


class Place(NamedTuple):
    topic: str
    partition: int


class Track(NamedTuple):
    """One subscriber's way through one partition."""

    subscriber: str
    topic: str
    partition: int

    @property
    def place(self) -> Place:
        return Place(self.topic, self.partition)


class Turn(NamedTuple):
    """One subscriber's way through one aggregate."""

    subscriber: str
    aggregate_id: UUID


class Seen(NamedTuple):
    version: int
    chain: bytes


MAKE: LiteralString = (
    'INSERT INTO tracking (subscriber, topic, partition, "offset")'
    " SELECT *, -1 FROM unnest(%s::text[], %s::text[], %s::int[]) ORDER BY 1, 2, 3"
    " ON CONFLICT DO NOTHING"
)
# Locked one after the other in one order: two workers never wait for each other in a circle.
LOCK: LiteralString = """
SELECT subscriber, topic, partition, "offset" FROM tracking
JOIN unnest(%s::text[], %s::text[], %s::int[]) AS asked(subscriber, topic, partition)
    USING (subscriber, topic, partition)
ORDER BY 1, 2, 3 FOR UPDATE OF tracking"""
SEEN: LiteralString = """
SELECT subscriber, aggregate_id, version, chain FROM sequences
WHERE aggregate_id = ANY (%s::uuid[]) AND subscriber = ANY (%s::text[])"""
TAKEN: LiteralString = """
INSERT INTO sequences (subscriber, aggregate_id, version, chain)
SELECT * FROM unnest(%s::text[], %s::uuid[], %s::int[], %s::bytea[])
ON CONFLICT (subscriber, aggregate_id)
    DO UPDATE SET version = excluded.version, chain = excluded.chain"""
# One row at a time: a join with arrays is planned anew each time, at more than its own price.
MOVED: LiteralString = (
    'UPDATE tracking SET "offset" = %s WHERE subscriber = %s AND topic = %s AND partition = %s'
)
LEAP: LiteralString = (
    'UPDATE tracking SET "offset" = %s WHERE topic = %s AND partition = %s AND "offset" = %s'
)
REOFFERED: LiteralString = 'SELECT topic, partition, "offset" FROM reoffered'
RESET: LiteralString = (
    "DELETE FROM tracking WHERE topic = %s AND (%s::int IS NULL OR partition = %s)"
)


async def lock(
    connection: Connection, tracks: Collection[Track], ask: Callable[[], A]
) -> tuple[dict[Track, int], A]:
    """The last offset of each, held until the transaction ends: nobody else takes its records.

    A worker that lost the partition but still runs waits here, and then finds its records taken.
    `ask`: what is to be known under these locks, collected in the same round.
    """
    columns = _columns(sorted(tracks), 3)
    while True:
        locked, asked = connection.later(LOCK, columns), ask()
        await connection.round()
        if len(locked.rows) == len(tracks):
            return {Track(*row[:3]): row[3] for row in locked.rows}, asked
        connection.later(MAKE, columns)


def _columns(rows: Iterable[tuple[Any, ...]], count: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(count)]


async def seen(
    connection: Connection, aggregate_ids: Collection[UUID], subscribers: Collection[str]
) -> dict[Turn, Seen]:
    found = await connection.now(SEEN, (list(aggregate_ids), list(subscribers)))
    return {Turn(row[0], row[1]): Seen(row[2], row[3]) for row in found.rows}


def taken(connection: Connection, seen: Mapping[Turn, Seen], offsets: Mapping[Track, int]) -> None:
    """What a transaction has seen, and how far it came, into its next round."""
    if seen:
        connection.later(TAKEN, _columns(((*turn, *each) for turn, each in seen.items()), 4))
    for track, offset in offsets.items():
        connection.later(MOVED, (offset, *track))


async def offsets(connection: AsyncConnection[Any]) -> dict[Track, int]:
    """All that is tracked."""
    found = await connection.execute('SELECT subscriber, topic, partition, "offset" FROM tracking')
    return {Track(*row[:3]): row[3] for row in await found.fetchall()}


async def pass_over(connection: AsyncConnection[Any], place: Place, start: int, stop: int) -> None:
    """For the subscribers that would take `start` next: they take `stop` next, and lose nothing."""
    await connection.execute(LEAP, (stop - 1, *place, start - 1))


async def reset(connection: AsyncConnection[Any], topic: str, partition: int | None = None) -> None:
    """For a topic that was made anew: read it from its beginning. What was seen stays seen."""
    await connection.execute(RESET, (topic, partition, partition))


async def reoffered(connection: AsyncConnection[Any]) -> dict[Place, int]:
    """Where facts may have had their effect before the store was restored: the last offsets."""
    found = await connection.execute(REOFFERED)
    return {Place(*row[:2]): row[2] for row in await found.fetchall()}


async def has_seen(
    connection: Connection, subscriber: str, versions: Iterable[tuple[UUID, int]]
) -> bool:
    wanted = dict(versions)
    have = await seen(connection, wanted, [subscriber])
    return all(
        have.get(Turn(subscriber, aggregate_id), Seen(0, b"")).version >= version
        for aggregate_id, version in wanted.items()
    )


async def is_parked(connection: AsyncConnection[Any], aggregate_id: UUID) -> bool:
    found = await connection.execute(
        "SELECT EXISTS (SELECT FROM parked WHERE aggregate_id = %s)", (aggregate_id,)
    )
    return bool((await found.fetchall())[0][0])
