"""The event store behind the synchronous recorder interfaces of the `eventsourcing` library.

For its tools and its published tests; the services use `chassis.storage.event_store`.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, LiteralString
from uuid import UUID, uuid4

from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    IntegrityError,
    Notification,
    StoredEvent,
    Subscription,
)
from psycopg import Connection
from psycopg.rows import class_row
from psycopg_pool import ConnectionPool

from chassis.context import Actor, Context
from chassis.storage.new_facts import APPEND, NewCommand, NewFact, append_arguments, new_event_id
from chassis.storage.postgres import guarded
from chassis.storage.wire import fact_digest

RECORDER = Actor(UUID(int=0))  # the library's stored events name no actor
POLL_EVERY = 0.01  # seconds

SELECT_EVENTS: LiteralString = """
    SELECT aggregate_id, version, type, data FROM events
    WHERE aggregate_id = %(id)s AND version > coalesce(%(gt)s::int, -1)
      AND version <= coalesce(%(lte)s::int, 2147483647)
    ORDER BY CASE WHEN %(desc)s THEN -version ELSE version END LIMIT %(limit)s"""
SELECT_NOTIFICATIONS: LiteralString = """
    SELECT aggregate_id AS originator_id, version AS originator_version, type AS topic,
           data AS state, position AS id FROM events
    WHERE position >= %(first)s AND position <= coalesce(%(stop)s::bigint, 9223372036854775807)
      AND (%(topics)s::text[] = '{}' OR type = ANY (%(topics)s))
    ORDER BY position LIMIT %(limit)s"""


class PostgresAggregateRecorder(AggregateRecorder):
    """Streams by (originator id, version). The library lets one begin at any version."""

    positions_are_told: ClassVar[bool] = False

    def __init__(self, dsn: str) -> None:
        self.pool = ConnectionPool[Connection[tuple[Any, ...]]](
            guarded(dsn), kwargs={"autocommit": True}, min_size=1, max_size=10, open=True
        )

    def close(self) -> None:
        self.pool.close()

    def insert_events(
        self,
        stored_events: Sequence[StoredEvent],
        **kwargs: Any,  # noqa: ARG002  the library's signature
    ) -> Sequence[int] | None:
        """One command: all or none. Raises IntegrityError for a version that is taken or skips."""
        if not stored_events:
            return None
        values = append_arguments(
            [_command(stored_events)], datetime.now(UTC), may_start_anywhere=True
        )
        with self.pool.connection() as connection:
            [(head, _, clashed, _)] = connection.execute(APPEND, values, prepare=True).fetchall()
        if clashed:
            raise IntegrityError("these versions are not the next ones of their aggregates")
        first = head - len(stored_events) + 1
        return list(range(first, head + 1)) if self.positions_are_told else None

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        asked = {"id": originator_id, "gt": gt, "lte": lte, "desc": desc, "limit": limit}
        with self.pool.connection() as connection:
            return [StoredEvent(*row) for row in connection.execute(SELECT_EVENTS, asked)]


class PostgresApplicationRecorder(PostgresAggregateRecorder, ApplicationRecorder):
    """And all of them in one order without gaps, which a reader can follow safely."""

    positions_are_told = True

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        first = (start or 0) + (0 if inclusive_of_start else 1)
        asked = {"first": first, "stop": stop, "topics": list(topics), "limit": limit}
        with self.pool.connection() as connection:
            cursor = connection.cursor(row_factory=class_row(Notification))
            return cursor.execute(SELECT_NOTIFICATIONS, asked).fetchall()

    def max_notification_id(self) -> int | None:
        with self.pool.connection() as connection:
            [(newest,)] = connection.execute("SELECT max(position) FROM events").fetchall()
        return None if newest is None else int(newest)

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> "PollingSubscription":
        return PollingSubscription(recorder=self, gt=gt, topics=topics)


class PollingSubscription(Subscription[PostgresApplicationRecorder]):
    """Follows the positions. It polls: a NOTIFY in each append would cost most of its speed."""

    def __next__(self) -> Notification:
        while not self._has_been_stopped:
            newer = self._recorder.select_notifications(
                self._last_notification_id, 1, topics=self._topics, inclusive_of_start=False
            )
            if newer:
                self._last_notification_id = newer[0].id
                return newer[0]
            time.sleep(POLL_EVERY)
        raise StopIteration


def _command(stored_events: Sequence[StoredEvent]) -> NewCommand:
    now = datetime.now(UTC)
    command = NewCommand(Context(RECORDER, now, command_id=uuid4(), correlation_id=uuid4()))
    for place, stored in enumerate(stored_events, 1):
        command.facts.append(_new_fact(stored, command.ctx, place))
        command.answer[UUID(str(stored.originator_id))] = stored.originator_version
    return command


def _new_fact(stored: StoredEvent, ctx: Context, place: int) -> NewFact:
    aggregate_id, event_id = UUID(str(stored.originator_id)), new_event_id(ctx.now)
    return NewFact(
        aggregate_id=aggregate_id,
        version=stored.originator_version,
        type=stored.topic,
        data=stored.state,
        digest=fact_digest(
            aggregate_id=aggregate_id,
            version=stored.originator_version,
            type=stored.topic,
            event_id=event_id,
            occurred_at=ctx.now,
            actor_id=ctx.actor.id,
            data=stored.state,
        ),
        event_id=event_id,
        occurred_at=ctx.now,
        actor_id=ctx.actor.id,
        command_id=ctx.command_id,
        place=place,
        request_hash=ctx.request_hash,
        correlation_id=ctx.correlation_id,
        causation_id=None,
        traceparent="",
    )
