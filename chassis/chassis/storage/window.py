"""The window in which commands run: what they loaded, what they recorded, and its append."""

import contextlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from psycopg import AsyncConnection

from chassis.aggregates import Aggregate, facts_of
from chassis.context import Context
from chassis.errors import PreconditionFailed, TooLarge, Unavailable
from chassis.sql import Statement, V
from chassis.storage.loading import ConnectionReads, Reads, Stored, stored_of
from chassis.storage.new_facts import APPEND, NewCommand, NewFact, append_arguments, new_event_id
from chassis.storage.rounds import Connection
from chassis.storage.snapshots import Snapshot, restored, snapshot_of
from chassis.storage.wire import fact_digest, stored_fact
from chassis.store import A, Saved
from chassis.telemetry.tracing import step
from prm_contracts.facts import Fact, encode

LARGEST_FACT = 256 * 1024  # bytes, as stored and published, headers included
HEADER_ROOM = 2 * 1024  # what the headers of a record take at most
SNAPSHOT_AFTER = 100  # facts replayed beyond the newest snapshot

CLASHED, KNOWN = "PRM01", "PRM02"  # SQLSTATEs that `append` raises


class FactTooLarge(TooLarge):
    """A fact takes at most 256 KiB as stored: send less, or in parts."""


@dataclass(eq=False)
class Clash(Exception):
    """These aggregates have moved on since they were loaded: load and decide again."""

    aggregate_ids: tuple[UUID, ...]


@dataclass(eq=False)
class AlreadyDone(Exception):
    """These commands have an outcome already: run the window again without them."""

    command_ids: tuple[UUID, ...]


@dataclass(eq=False)
class FactsMissing(Unavailable):
    """A fact of this record is not in the store: an operator finds more with `prm verify`."""

    aggregate_id: UUID
    version: int


class UnsavedFacts(RuntimeError):
    """A command recorded facts on an aggregate that it did not save."""


KNOWN_COMMANDS: LiteralString = "SELECT command_id FROM first_outcomes(%s)"
LOST: LiteralString = (
    "SELECT 1 FROM lost_facts WHERE aggregate_id = %s AND first <= %s AND last >= %s"
)


async def _anyone(id: UUID) -> None:
    """No turns to wait for: a worker's window is alone on its connection."""


class Window:
    """A Store. Keeps what it loaded, collects what is saved, appends all of it or nothing.

    `enter` is awaited before an aggregate is loaded. `snapshots` are due: whoever runs the window
    stores them after its commit (`snapshots.keep`).
    """

    def __init__(self, reads: Reads, enter: Callable[[UUID], Awaitable[None]] = _anyone) -> None:
        self._reads = reads
        self._enter = enter
        self.kept: dict[UUID, Aggregate[Any]] = {}
        self.commands: dict[UUID, NewCommand] = {}
        self.snapshots: list[Snapshot] = []

    @classmethod
    def on(cls, connection: Connection) -> "ConnectionWindow":
        """A window inside the open transaction of this connection, READ COMMITTED."""
        return ConnectionWindow(connection)

    async def load_addressed(self, ctx: Context, kind: type[A], id: UUID) -> A:
        aggregate = await self.load(kind, id)
        if ctx.actor.tenant_id not in (None, aggregate.tenant_id):
            raise kind.not_found(id)
        if ctx.if_match not in (None, aggregate.version):
            raise PreconditionFailed(aggregate.version)
        return aggregate

    async def load(self, kind: type[A], id: UUID) -> A:
        aggregate = await self.load_or_new(kind, id)
        if not aggregate.version:
            raise kind.not_found(id)
        return aggregate

    async def load_or_new(self, kind: type[A], id: UUID) -> A:
        [aggregate] = await self.load_many_or_new(kind, (id,))
        return aggregate

    async def load_many(self, kind: type[A], ids: Iterable[UUID]) -> list[A]:
        aggregates = await self.load_many_or_new(kind, ids)
        for aggregate in aggregates:
            if not aggregate.version:
                raise kind.not_found(aggregate.id)
        return aggregates

    async def load_many_or_new(self, kind: type[A], ids: Iterable[UUID]) -> list[A]:
        asked = list(ids)
        missing = [each for each in dict.fromkeys(asked) if each not in self.kept]
        for each in missing:
            await self._enter(each)
        if missing:
            with step("load", {"aggregate": kind.__name__}):
                stored = await stored_of(self._reads, kind, missing)
                for each in missing:
                    self.kept[each] = await self._loaded(kind, each, stored[each])
        found = []
        for kept in (self.kept[each] for each in asked):
            if not isinstance(kept, kind):  # callers may name anything: there is none of this kind
                raise kind.not_found(kept.id)
            found.append(kept)
        return found

    async def _loaded(self, kind: type[A], id: UUID, rows: list[Stored]) -> A:
        aggregate = kind(id)
        if rows and rows[0][1] is None:
            version, _, state = rows.pop(0)
            try:
                restored(aggregate, version, state)
            except ValueError:  # of an older shape of the class, whose state_version was not raised
                aggregate = kind(id)
                rows = (await stored_of(self._reads, kind, [id], from_the_start=True))[id]
        for version, fact_type, data in rows:
            fact = stored_fact(str(fact_type), data)
            if not isinstance(fact, facts_of(kind)):  # as in `load_many_or_new`
                raise kind.not_found(id)
            if version > aggregate.version + 1:
                await self._expect_lost(id, aggregate.version + 1, version - 1)
                aggregate.version = version - 1
            aggregate.replay(fact)
        if len(rows) >= SNAPSHOT_AFTER and (due := snapshot_of(aggregate)):
            self.snapshots.append(due)
        self._replay_collected(aggregate)
        return aggregate

    async def _expect_lost(self, id: UUID, first: int, last: int) -> None:
        """Raises FactsMissing, unless an operator has accepted that these versions are lost."""
        if not await self._reads.fetch(LOST, (id, first, last)):
            raise FactsMissing(id, first)

    def _replay_collected(self, aggregate: Aggregate[Any]) -> None:
        """After `set_back`: what earlier commands of this window recorded is in no table yet."""
        for command in self.commands.values():
            for new, fact in zip(command.facts, command.decoded, strict=True):
                if new.aggregate_id == aggregate.id:
                    aggregate.replay(fact)
                    if aggregate.version != new.version:
                        raise Clash((aggregate.id,))

    async def rows(self, view: type[V], query: Statement) -> list[V]:
        found = await self._reads.dicts(query.sql, query.values)
        return [view.model_validate(row) for row in found]

    async def save(self, ctx: Context, *aggregates: Aggregate[Any]) -> Saved:
        command = self.commands.setdefault(ctx.command_id, NewCommand(ctx))
        for aggregate in aggregates:
            self.kept[aggregate.id] = aggregate
            first = aggregate.version - len(aggregate.pending) + 1
            for version, fact in enumerate(aggregate.pending, first):
                command.facts.append(_new_fact(ctx, aggregate.id, version, fact, command))
                command.decoded.append(fact)
            aggregate.pending.clear()
            command.answer[aggregate.id] = aggregate.version
        return Saved(
            tuple((aggregate.id, aggregate.version) for aggregate in aggregates),
            types=tuple(facts_of(type(aggregate))[0].fact_type for aggregate in aggregates),
        )

    def refuse_unsaved(self) -> None:
        """Raises UnsavedFacts, if an aggregate of this window holds any."""
        if forgotten := [str(kept.id) for kept in self.kept.values() if kept.pending]:
            raise UnsavedFacts(f"recorded facts were not saved: {', '.join(forgotten)}")

    def mark(self) -> int:
        """Where `set_back` goes back to: taken together with a savepoint, before a fact."""
        return len(self.commands)

    def set_back(self, mark: int) -> None:
        """Forgets what was recorded since; what is needed again is loaded anew."""
        for command_id in list(self.commands)[mark:]:
            del self.commands[command_id]
        self.kept.clear()


class ConnectionWindow(Window):
    """A worker's window: in its transaction, which it also ends. Build it with `Window.on`."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(ConnectionReads(connection))
        self.connection = connection

    async def append(self, now: datetime) -> None:
        """Appends what the window collected, as the last statement but COMMIT: it takes the lock.

        Raises Clash or AlreadyDone; the transaction has failed then, and its caller rolls back.
        """
        with _append_failures():
            self._append_later(now)
            await self.connection.round()

    async def append_and_commit(self, now: datetime) -> None:
        """Both in one round trip, so that the lock never waits for this process."""
        with _append_failures():
            self._append_later(now)
            self.connection.later("COMMIT")
            await self.connection.round()

    def _append_later(self, now: datetime) -> None:
        self.refuse_unsaved()
        commands = [command for command in self.commands.values() if command.facts]
        if commands:
            self.connection.later(APPEND, append_arguments(commands, now, all_or_none=True))


@contextlib.contextmanager
def _append_failures() -> Any:
    try:
        yield
    except psycopg.Error as failure:
        ids = tuple(UUID(text) for text in (failure.diag.message_detail or "").split())
        if failure.sqlstate == CLASHED:
            raise Clash(ids) from None
        if failure.sqlstate == KNOWN:
            raise AlreadyDone(ids) from None
        raise


async def lock_append(connection: Connection) -> None:
    """Takes the append lock before anything is loaded: nobody can clash with this transaction.

    For a fact that clashed twice. Every other append of the service waits until its COMMIT.
    """
    await connection.now("SELECT lock_append()")


async def known_commands(
    connection: AsyncConnection[Any], command_ids: Iterable[UUID]
) -> set[UUID]:
    """Those that have an outcome already."""
    found = await connection.execute(KNOWN_COMMANDS, [list(command_ids)])
    return {row[0] for row in await found.fetchall()}


def _new_fact(
    ctx: Context, aggregate_id: UUID, version: int, fact: Fact, command: NewCommand
) -> NewFact:
    data = encode(fact)
    if len(data) > LARGEST_FACT - HEADER_ROOM:
        raise FactTooLarge
    actor_id, event_id = ctx.actor.id, new_event_id(ctx.now)
    occurred_at = ctx.occurred_at or ctx.now
    return NewFact(
        aggregate_id=aggregate_id,
        version=version,
        type=fact.fact_type,
        data=data,
        digest=fact_digest(
            aggregate_id=aggregate_id,
            version=version,
            type=fact.fact_type,
            event_id=event_id,
            occurred_at=occurred_at,
            actor_id=actor_id,
            data=data,
        ),
        event_id=event_id,
        occurred_at=occurred_at,
        actor_id=actor_id,
        command_id=ctx.command_id,
        place=len(command.facts) + 1,
        request_hash=ctx.request_hash,
        correlation_id=ctx.correlation_id,
        causation_id=ctx.causation_id,
        traceparent=ctx.traceparent,
    )
