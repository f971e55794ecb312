"""Facts that could not be taken in their turn: they wait in a table, in order, until they can."""

import base64
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, LiteralString, NamedTuple
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row

from chassis.consuming.records import Headers, Record
from chassis.consuming.tracking import Seen, Turn
from chassis.storage.rounds import Answer, Connection
from prm_contracts.facts import Basis

Kind = Literal["failed", "held", "unknown", "forked", "behind", "untrustworthy"]
State = Literal["waiting", "dead", "released", "discarded"]

RETRY_AFTER = (1.0, 5.0, 30.0, 120.0, 600.0)  # seconds; then it is dead
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ALL = ""  # the subscriber of a record that parks nothing
AT_ONCE = 200  # facts of one aggregate that are tried in one transaction
CUT_OFF = "it was cut off while it was tried again, as by the end of its process"


@dataclass(frozen=True)
class Fate:
    """Why a fact is not taken now. `is_final`: no timer will change it."""

    kind: Kind
    reason: str
    is_final: bool = False
    based_on: tuple[Basis, ...] = ()


class Parking(NamedTuple):
    """A fact to be parked for one subscriber."""

    subscriber: str
    aggregate_id: UUID | None
    version: int | None
    type: str
    record: Record
    fate: Fate


@dataclass(frozen=True)
class Head:
    """The first fact that waits of one aggregate, for one subscriber.

    `is_trying`: where nobody is trying it, its last try was cut off.
    """

    id: int
    subscriber: str
    aggregate_id: UUID
    topic: str
    partition: int
    type: str
    kind: Kind
    state: State
    attempts: int
    is_trying: bool
    is_due: bool
    held_until: datetime | None
    based_on: list[dict[str, Any]] | None

    @property
    def turn(self) -> Turn:
        return Turn(self.subscriber, self.aggregate_id)

    def bases(self) -> list[Basis]:
        return [Basis.model_validate(basis) for basis in self.based_on or ()]


@dataclass(frozen=True)
class Parked:
    """One that waits, as it came."""

    id: int
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: list[list[str]]
    attempts: int
    held_until: datetime | None

    @property
    def record(self) -> Record:
        return Record(
            self.topic, self.partition, self.offset, self.key, self.value, unpacked(self.headers)
        )


PARK: LiteralString = """
INSERT INTO parking (subscriber, aggregate_id, version, type, topic, partition, "offset", key,
    value, headers, kind, state, reason, attempts, next_try_at, held_until, based_on)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s::jsonb, %s, %s, %s, %s, now() + %s, %s, %s::jsonb)
ON CONFLICT DO NOTHING"""
AGAIN: LiteralString = """
UPDATE parking SET kind = %s, state = %s, reason = %s, attempts = %s, next_try_at = now() + %s,
    held_until = %s, based_on = %s::jsonb, is_trying = false
WHERE id = %s"""
HEADS: LiteralString = """
SELECT DISTINCT ON (subscriber, aggregate_id) id, subscriber, aggregate_id, topic, partition,
    type, kind, state, attempts, is_trying, coalesce(next_try_at <= now(), false) AS is_due,
    held_until, based_on
FROM parking WHERE state IN ('waiting', 'dead') AND aggregate_id IS NOT NULL
ORDER BY subscriber, aggregate_id, version, id"""
LOAD: LiteralString = """
SELECT id, topic, partition, "offset", key, value, headers, attempts, held_until
FROM parking WHERE state IN ('waiting', 'dead') AND subscriber = %s AND aggregate_id = %s
ORDER BY version, id LIMIT %s FOR UPDATE"""
BEGUN: LiteralString = """
UPDATE parking SET state = %s, attempts = %s, next_try_at = now() + %s, is_trying = true,
    kind = CASE WHEN is_trying THEN 'failed' ELSE kind END,
    reason = CASE WHEN is_trying THEN %s ELSE reason END
WHERE id = %s"""
# A turn in which something waits already has no chain here: what comes later waits behind it.
KNOWN: LiteralString = """
SELECT subscriber, aggregate_id, version, chain FROM sequences
WHERE aggregate_id = ANY (%(ids)s::uuid[]) AND subscriber = ANY (%(names)s::text[])
UNION ALL
SELECT DISTINCT subscriber, aggregate_id, 0, NULL::bytea FROM parking
WHERE state IN ('waiting', 'dead') AND aggregate_id = ANY (%(ids)s::uuid[])"""
RELEASE: LiteralString = "UPDATE parking SET state = 'released' WHERE id = ANY (%s::bigint[])"
COUNTS: LiteralString = """
SELECT count(*) FILTER (WHERE state = 'waiting' AND kind <> 'held'),
    count(*) FILTER (WHERE state = 'dead'),
    count(*) FILTER (WHERE state = 'waiting' AND kind = 'held')
FROM parking WHERE state IN ('waiting', 'dead')"""


def packed(headers: Headers) -> str:
    """PostgreSQL's JSON holds no zero byte, a poisoned name may: it is shown as U+FFFD."""
    named = ((name.replace("\0", "\ufffd"), value) for name, value in headers)
    return json.dumps([[name, base64.b64encode(value).decode()] for name, value in named])


def unpacked(headers: Iterable[Sequence[str]]) -> Headers:
    return tuple((name, base64.b64decode(value)) for name, value in headers)


class _Schedule(NamedTuple):
    state: State
    attempts: int
    after: timedelta | None
    held_until: datetime | None
    based_on: str | None


@dataclass(frozen=True)
class Timing:
    """`retry_after`: seconds before each further try; `hold`: how long a held fact waits."""

    retry_after: tuple[float, ...] = RETRY_AFTER
    hold: timedelta = timedelta(minutes=15)

    def of(self, fate: Fate, tried: int, held_until: datetime | None, now: datetime) -> _Schedule:
        if fate.kind == "held":
            bases = json.dumps([basis.model_dump(mode="json") for basis in fate.based_on])
            return _Schedule("waiting", tried, None, held_until or now + self.hold, bases)
        if fate.kind in ("behind", "unknown"):
            return _Schedule("waiting", tried, None, None, None)
        attempts = tried + 1
        if fate.is_final or attempts > len(self.retry_after):
            return _Schedule("dead", attempts, None, None, None)
        pause = timedelta(seconds=self.retry_after[attempts - 1])
        return _Schedule("waiting", attempts, pause, held_until, None)


def park(
    connection: Connection, parkings: Iterable[Parking], timing: Timing, now: datetime
) -> None:
    """Into the next round of the transaction."""
    for each in parkings:
        record, planned = each.record, timing.of(each.fate, 0, None, now)
        values = (
            *(each.subscriber, each.aggregate_id, each.version, each.type),
            *(record.topic, record.partition, record.offset, record.key, record.value),
            *(packed(record.headers), each.fate.kind, planned.state, each.fate.reason),
            *(planned.attempts, planned.after, planned.held_until, planned.based_on),
        )
        connection.later(PARK, values)


async def begin_retry(connection: AsyncConnection[Any], head: Head, timing: Timing) -> None:
    """Plans the try after this one first: a fact that ends its process is not tried for ever."""
    planned = timing.of(Fate("failed", ""), head.attempts, None, EPOCH)
    values = (planned.state, planned.attempts, planned.after, CUT_OFF, head.id)
    await connection.execute(BEGUN, values)


async def park_again(
    connection: AsyncConnection[Any], parked: Parked, fate: Fate, timing: Timing, now: datetime
) -> None:
    planned = timing.of(fate, parked.attempts, parked.held_until, now)
    values = (
        *(fate.kind, planned.state, fate.reason, planned.attempts, planned.after),
        *(planned.held_until, planned.based_on, parked.id),
    )
    await connection.execute(AGAIN, values)


async def release(connection: AsyncConnection[Any], ids: Sequence[int]) -> None:
    await connection.execute(RELEASE, (list(ids),))


def ask(connection: Connection, ids: Collection[UUID], subscribers: Collection[str]) -> Answer:
    """For `known`, in the next round."""
    return connection.later(KNOWN, {"ids": list(ids), "names": list(subscribers)})


def known(answer: Answer) -> tuple[dict[Turn, Seen], set[Turn]]:
    """What has been seen of these aggregates, and the turns in which something waits."""
    seen = {Turn(*row[:2]): Seen(*row[2:]) for row in answer.rows if row[3] is not None}
    return seen, {Turn(*row[:2]) for row in answer.rows if row[3] is None}


async def heads(connection: AsyncConnection[Any]) -> list[Head]:
    async with connection.cursor(row_factory=class_row(Head)) as cursor:
        return await (await cursor.execute(HEADS)).fetchall()


async def load(connection: AsyncConnection[Any], head: Head) -> list[Parked]:
    """It and what waits behind it, in their order; locked. It alone, if its last try was cut off:
    that may have been because of another.
    """
    most = 1 if head.is_trying else AT_ONCE
    async with connection.cursor(row_factory=class_row(Parked)) as cursor:
        return await (await cursor.execute(LOAD, (*head.turn, most))).fetchall()


async def counts(connection: AsyncConnection[Any]) -> tuple[int, int, int]:
    """How many wait after a failure, are dead, are held."""
    [(waiting, dead, held)] = await (await connection.execute(COUNTS)).fetchall()
    return waiting, dead, held
