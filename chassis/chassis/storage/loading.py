"""What lies in the store of an aggregate, or of many: a snapshot, and the facts after it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString, Protocol
from uuid import UUID

from chassis.aggregates import Aggregate
from chassis.storage.new_facts import uuids
from chassis.storage.rounds import Connection

Stored = tuple[int, str | None, bytes]  # version; type, None: a snapshot; data


class Reads(Protocol):
    """Where a window reads: a few lines in the API, the open transaction in a worker."""

    async def fetch(self, query: LiteralString, values: Any) -> list[tuple[Any, ...]]: ...
    async def dicts(self, query: LiteralString, values: Any) -> list[dict[str, Any]]: ...


@dataclass(frozen=True)
class ConnectionReads:
    connection: Connection

    async def fetch(self, query: LiteralString, values: Any) -> list[tuple[Any, ...]]:
        return (await self.connection.now(query, values)).rows

    async def dicts(self, query: LiteralString, values: Any) -> list[dict[str, Any]]:
        return (await self.connection.now(query, values)).dicts()


# The newest snapshot, if there is one, then the facts after it.
LOAD: LiteralString = """
    WITH kept AS (
        SELECT version, state FROM snapshots
        WHERE aggregate_id = %(id)s AND kind = %(kind)s AND state_version = %(state_version)s)
    SELECT version, NULL::text AS type, state AS data FROM kept
    UNION ALL
    SELECT version, type, data FROM events
    WHERE aggregate_id = %(id)s AND version > coalesce((SELECT version FROM kept), 0)
    ORDER BY version"""
# The same of many: a query of its own, for one aggregate it takes more than twice as long.
LOAD_MANY: LiteralString = """
    WITH asked AS (SELECT DISTINCT unnest(%(ids)s::uuid[]) AS id),
    kept AS (
        SELECT aggregate_id, version, state FROM asked JOIN snapshots ON aggregate_id = id
        WHERE kind = %(kind)s AND state_version = %(state_version)s)
    SELECT aggregate_id, version, NULL::text AS type, state AS data FROM kept
    UNION ALL
    SELECT events.aggregate_id, events.version, type, data
    FROM asked LEFT JOIN kept ON kept.aggregate_id = id
    JOIN events ON events.aggregate_id = id AND events.version > coalesce(kept.version, 0)
    ORDER BY aggregate_id, version"""


async def stored_of(
    reads: Reads, kind: type[Aggregate[Any]], ids: Sequence[UUID], *, from_the_start: bool = False
) -> dict[UUID, list[Stored]]:
    """By id, in the order of the versions. `from_the_start`: without a snapshot."""
    state_version = None if from_the_start else kind.state_version
    asked = {"kind": kind.__name__, "state_version": state_version}
    if len(ids) == 1:
        return {ids[0]: await reads.fetch(LOAD, asked | {"id": ids[0]})}
    stored: dict[UUID, list[Stored]] = {each: [] for each in ids}
    for aggregate_id, *row in await reads.fetch(LOAD_MANY, asked | {"ids": uuids(ids)}):
        stored[aggregate_id].append((row[0], row[1], row[2]))
    return stored
