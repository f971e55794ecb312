"""What an operator does about parked facts: look, try again, or give up one of them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row

from chassis.consuming.parking import ALL, Kind, State, unpacked
from chassis.errors import Conflict, Refusal
from chassis.storage.postgres import PooledReads


@dataclass(eq=False)
class LetterNotFound(Refusal):
    """Nothing is or was parked under this number: list what is."""

    status = 404
    number: int


@dataclass(eq=False)
class LetterClosed(Conflict):
    """It was released or discarded before: there is nothing left to do about it."""

    number: int
    state: State


@dataclass(eq=False)
class LetterNotFirst(Conflict):
    """Facts of one aggregate are taken in their order: look after the first that waits."""

    first: int


@dataclass(eq=False)
class LetterUnreadable(Conflict):
    """No service wrote this record, so none can take it: discard it."""

    number: int


@dataclass(frozen=True)
class Letter:
    """`subscriber`: who could not take it; `position` and `event_id` stand in its headers."""

    id: int
    subscriber: str
    aggregate_id: UUID | None
    version: int | None
    type: str
    topic: str
    partition: int
    offset: int
    kind: Kind
    state: State
    reason: str
    attempts: int
    next_try_at: datetime | None
    parked_at: datetime


@dataclass(frozen=True)
class FullLetter(Letter):
    """`headers`: [name, base64 of its value]."""

    key: bytes | None
    value: bytes | None
    headers: list[list[str]]


COLUMNS: LiteralString = (
    'id, subscriber, aggregate_id, version, type, topic, partition, "offset", kind, state, reason,'
    " attempts, next_try_at, parked_at"
)
LIST: LiteralString = f"""
SELECT {COLUMNS} FROM parking
WHERE (%(state)s::text IS NULL OR state = %(state)s)
    AND (%(after)s::bigint IS NULL OR id > %(after)s)
ORDER BY id LIMIT %(limit)s"""  # noqa: S608 - constants
SHOW: LiteralString = f"""
SELECT {COLUMNS}, key, value, headers FROM parking WHERE id = %s"""  # noqa: S608 - constants
FIRST: LiteralString = """
SELECT id FROM parking WHERE state IN ('waiting', 'dead') AND subscriber = %s AND aggregate_id = %s
ORDER BY version, id LIMIT 1"""
REDRIVE: LiteralString = (
    "UPDATE parking SET state = 'waiting', kind = 'failed', attempts = 0, next_try_at = now(),"
    " held_until = NULL, is_published = false WHERE id = %s"
)
DISCARD: LiteralString = "UPDATE parking SET state = 'discarded', next_try_at = NULL WHERE id = %s"
MOVE_ON: LiteralString = """
INSERT INTO sequences (subscriber, aggregate_id, version, chain) VALUES (%s, %s, %s, %s)
ON CONFLICT (subscriber, aggregate_id)
    DO UPDATE SET version = excluded.version, chain = excluded.chain
WHERE sequences.version < excluded.version"""


class DeadLetters:
    """All methods raise StoreUnavailable while the database is away."""

    def __init__(self, reads: PooledReads) -> None:
        self._reads = reads

    async def list(
        self, state: State | None = "dead", limit: int = 50, after: int | None = None
    ) -> list[Letter]:
        """None: of any state. `after`: the number of the last one that was listed before."""
        asked = {"state": state, "limit": limit, "after": after}
        return [Letter(**row) for row in await self._reads.dicts(LIST, asked)]

    async def show(self, number: int) -> FullLetter:
        """Raises LetterNotFound."""
        found = await self._reads.dicts(SHOW, (number,))
        if not found:
            raise LetterNotFound(number)
        return FullLetter(**found[0])

    async def redrive(self, number: int) -> None:
        """It is tried again within a second, and then those behind it. Raises LetterNotFound,
        LetterClosed, LetterNotFirst, LetterUnreadable.
        """
        async with self._reads.pool.connection() as connection, connection.transaction():
            letter = await _first_of_its_line(connection, number)
            if letter.subscriber == ALL:
                raise LetterUnreadable(number)
            await connection.execute(REDRIVE, (number,))

    async def discard(self, number: int) -> None:
        """Its aggregate goes on behind it. Raises LetterNotFound, LetterClosed, LetterNotFirst."""
        async with self._reads.pool.connection() as connection, connection.transaction():
            letter = await _first_of_its_line(connection, number)
            await connection.execute(DISCARD, (number,))
            if letter.aggregate_id is not None and letter.kind != "forked":
                chain = bytes.fromhex(_header(letter, "ce_chain"))
                values = (letter.subscriber, letter.aggregate_id, letter.version, chain)
                await connection.execute(MOVE_ON, values)


async def _first_of_its_line(connection: AsyncConnection[Any], number: int) -> FullLetter:
    async with connection.cursor(row_factory=class_row(FullLetter)) as cursor:
        letter = await (await cursor.execute(SHOW + " FOR UPDATE", (number,))).fetchone()
    if letter is None:
        raise LetterNotFound(number)
    if letter.state not in ("waiting", "dead"):
        raise LetterClosed(number, letter.state)
    found = await connection.execute(FIRST, (letter.subscriber, letter.aggregate_id))
    first = await found.fetchone()
    if first is not None and first[0] != number:
        raise LetterNotFirst(first[0])
    return letter


def _header(letter: FullLetter, name: str) -> str:
    return dict(unpacked(letter.headers))[name].decode()
