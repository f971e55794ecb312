"""One stream's document as it was: its facts folded again, in tables that last for a question."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from psycopg import AsyncConnection, sql

from chassis.context import Actor
from chassis.delivery import Projection
from chassis.sql import Statement
from chassis.storage.postgres import PooledReads
from chassis.storage.questions import Questions, cursor_on
from chassis.storage.wire import stored_fact
from chassis.store import Recorded

FACTS: LiteralString = (
    "SELECT version, position, type, data, event_id, occurred_at, recorded_at, actor_id,"
    " command_id, correlation_id, causation_id, chain FROM events WHERE aggregate_id = %(id)s"
    " AND version <= coalesce(%(version)s::int, 2147483647)"
    " AND recorded_at <= coalesce(%(at)s::timestamptz, 'infinity') ORDER BY version"
)


class History:
    """`projections`: the service's, each named as the table that it writes."""

    def __init__(
        self, facts: PooledReads, questions: Questions, projections: Sequence[Projection]
    ) -> None:
        self._facts, self._questions, self._projections = facts, questions, projections

    async def facts(self, aggregate_id: UUID, as_of: int | datetime) -> list[Recorded[Any]]:
        """Up to a version, or to what was recorded by an instant."""
        is_version = isinstance(as_of, int)
        asked = {
            "id": aggregate_id,
            "version": as_of if is_version else None,
            "at": None if is_version else as_of,
        }
        return [
            Recorded(
                fact=stored_fact(row["type"], row["data"]),
                aggregate_id=aggregate_id,
                **{name: row[name] for name in row.keys() - {"type", "data"}},
            )
            for row in await self._facts.dicts(FACTS, asked)
        ]

    async def unparsed(
        self, asker: Actor, query: Statement, aggregate_id: UUID, as_of: int | datetime
    ) -> list[tuple[Any, ...]]:
        """What `query` about the aggregate would have answered then.

        `asker` may see it as it is today: that is the caller's to ask before.
        """
        facts = await self.facts(aggregate_id, as_of)
        if not facts:
            return []
        async with self._questions.transaction(asker) as connection:
            await self._fold(connection, facts)
            await connection.execute("SELECT set_config('prm.as_of', 'told', true)")
            cursor = cursor_on(connection)
            # Never prepared: a plan made here would read tables of the same name that are gone.
            await cursor.execute(query.sql, query.values, prepare=False, binary=True)
            return await cursor.fetchall()

    async def _fold(self, connection: AsyncConnection[Any], facts: list[Recorded[Any]]) -> None:
        """A temporary table stands before that of the same name, and ends with its transaction."""
        folding = [
            projection
            for projection in self._projections
            if isinstance(facts[0].fact, projection.topic.facts)
        ]
        for name in {projection.name for projection in folding}:
            new = "CREATE TEMPORARY TABLE {0} (LIKE public.{0} INCLUDING ALL)"
            await connection.execute(sql.SQL(new).format(sql.Identifier(name)))
        told = [projection.statement(recorded) for recorded in facts for projection in folding]
        async with connection.pipeline():
            for statement in filter(None, told):
                await connection.execute(statement.sql, statement.values, prepare=False)
