"""What a record on a topic is, by what the store has: the fact itself, a repeat, a stranger's."""

from typing import Any, Literal, LiteralString, NamedTuple
from uuid import UUID

from psycopg import AsyncConnection

from chassis.consuming.records import (
    STORED,
    Envelope,
    Record,
    StoredRow,
    Untrustworthy,
    headers_of,
    read_envelope,
)
from chassis.storage.wire import FIRST_CHAIN, id_text

Verdict = Literal["stored", "foreign", "fork", "not-stored"]

NEAR: LiteralString = (
    f"SELECT {STORED} FROM events"  # noqa: S608 - constants of this house
    " WHERE position = %(position)s OR (aggregate_id = %(id)s AND version = %(version)s)"
)
CHAIN: LiteralString = "SELECT chain FROM events WHERE aggregate_id = %s AND version = %s"
LATER_HEADERS = {"ce_outcome"}  # records that were written before the header was have none


class Judged(NamedTuple):
    """`row`: the stored fact that the record is of; `reason`: why it is of none."""

    verdict: Verdict
    envelope: Envelope | None = None
    row: StoredRow | None = None
    reason: str = ""


class Judge:
    """Knows, too, how far the topics go with aggregates that the store has less of."""

    def __init__(self, connection: AsyncConnection[Any], service: str) -> None:
        self._connection, self._service = connection, service
        self._beyond: dict[UUID, tuple[int, bytes]] = {}

    async def judge(self, record: Record) -> Judged:
        try:
            envelope = read_envelope(record, self._service)
        except Untrustworthy as reason:
            return Judged("foreign", reason=str(reason))
        rows = await self._near(envelope)
        for row in rows:
            if row.event_id == envelope.event_id:
                return Judged("stored", envelope, row)
        is_version_taken = any(row.aggregate_id == envelope.aggregate_id for row in rows)
        if not await self._follows(envelope):
            return Judged("foreign", envelope, reason="it does not follow the fact before it")
        if is_version_taken:
            return Judged("fork", envelope)
        self._beyond[envelope.aggregate_id] = envelope.version, envelope.chain
        return Judged("not-stored", envelope)

    async def _near(self, envelope: Envelope) -> list[StoredRow]:
        found = await self._connection.execute(
            NEAR,
            {
                "position": envelope.position,
                "id": envelope.aggregate_id,
                "version": envelope.version,
            },
            binary=True,
        )
        rows = [StoredRow(*row) for row in await found.fetchall()]
        return [
            row
            for row in rows
            if row.event_id == envelope.event_id
            or (row.aggregate_id, row.version) == (envelope.aggregate_id, envelope.version)
        ]

    async def _follows(self, envelope: Envelope) -> bool:
        before = envelope.version - 1
        if not before:
            return envelope.follows(FIRST_CHAIN)
        if (beyond := self._beyond.get(envelope.aggregate_id)) and beyond[0] == before:
            return envelope.follows(beyond[1])
        found = await self._connection.execute(CHAIN, (envelope.aggregate_id, before))
        row = await found.fetchone()
        return row is not None and envelope.follows(row[0])


def is_of(record: Record, row: StoredRow) -> bool:
    """Whether the record claims to be this fact, by its id or by its place."""
    told = dict(record.headers)
    if told.get("ce_id") == id_text(row.event_id).encode():
        return True
    place = (str(row.position), id_text(row.aggregate_id), str(row.version))
    claims = (told.get("ce_position"), told.get("ce_subject"), told.get("ce_sequence"))
    return claims == tuple(text.encode() for text in place)


def unlike(record: Record, row: StoredRow, service: str) -> list[str]:
    """What of the record is not as the relay writes this fact: key, value, names of headers."""
    told, right = dict(record.headers), dict(headers_of(row, service))
    parts = [] if record.key == id_text(row.aggregate_id).encode() else ["key"]
    parts += [] if record.value == row.data else ["value"]
    parts += [
        name
        for name in sorted(told.keys() | right.keys())
        if told.get(name) != right.get(name) and not (name in LATER_HEADERS and name not in told)
    ]
    return parts
