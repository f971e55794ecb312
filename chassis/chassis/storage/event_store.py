"""The event store of the API: a command in a window of its own, run again where needed."""

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import LiteralString
from uuid import UUID

import psycopg

from chassis.context import Context
from chassis.errors import Conflict, Invalid, Refusal, Unavailable
from chassis.storage.lines import Lines
from chassis.storage.new_facts import NewCommand, answer_text
from chassis.storage.postgres import PooledReads
from chassis.storage.snapshots import Snapshot, keep
from chassis.storage.turns import Turn, Turns
from chassis.storage.window import AlreadyDone, Clash, Window
from chassis.storage.writer import Writer
from chassis.store import Command, P, Saved
from chassis.telemetry.at_work import at_work_on
from chassis.telemetry.sight import Sight
from chassis.telemetry.tracing import step

log = logging.getLogger(__name__)

TRIES = 5

FIRST_OUTCOME: LiteralString = (
    "SELECT request_hash, outcome::text FROM first_outcomes(ARRAY[%s]::uuid[])"
)
A_FACT_TYPE: LiteralString = (
    "SELECT type FROM unnest(%s::uuid[]) WITH ORDINALITY AS asked(id, place)"
    " JOIN events ON aggregate_id = id AND version = 1 ORDER BY place"
)
NOTE_OUTCOME: LiteralString = "SELECT note_outcome(%s, %s, %s::jsonb)"


class TooManyClashes(Unavailable):
    """Others change the same records faster than this command can: ask again."""


class CommandStillRunning(Conflict):
    """The same command is running: wait for its answer, or ask again with the same key."""


class IdempotencyKeyReused(Invalid):
    """This Idempotency-Key belongs to another request: choose a new one."""


@dataclass(eq=False)
class StoreBlocked(Unavailable):
    """The database is behind what it published: `prm restore` brings it forward."""

    reason: str


class PostgresEventStore:
    """An EventStore. `blocked`: why every command is refused, while it is not None.

    `on_appended` is called after each commit with the store's last position: it wakes the relay.
    """

    def __init__(
        self,
        dsn: str,
        now: Callable[[], datetime],
        on_appended: Callable[[int], None] = lambda _: None,
        connections: int = 8,
        sight: Sight | None = None,
    ) -> None:
        self._metrics = (sight or Sight()).metrics
        self.blocked: str | None = None
        self.reads = PooledReads(dsn, connections)
        self._lines = Lines(dsn)
        self._writer = Writer(dsn, now, on_appended, self._metrics)
        self._turns = Turns()
        self._running: set[UUID] = set()
        self._background: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Returns at once: a service starts without its database."""
        await self.reads.open()

    async def close(self) -> None:
        """Waits for the commands that are being appended."""
        await self._writer.close()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self._lines.close()
        await self.reads.close()

    async def execute(
        self, command: Command[P], ctx: Context, *args: P.args, **kwargs: P.kwargs
    ) -> Saved:
        """As EventStore says. Raises refusals of the command, and those of this module."""
        operation, outcome = getattr(command, "__name__", "command"), "failed"
        try:
            with step(operation) as span, at_work_on(partial(dict, command_id=ctx.command_id)):
                if span.traceparent not in ("", ctx.traceparent):
                    ctx = replace(ctx, traceparent=span.traceparent)
                saved = await self._executed(command, ctx, *args, **kwargs)
            outcome = "repeated" if saved.is_repeat else "accepted"
            return saved
        except Unavailable:
            outcome = "unavailable"
            raise
        except Refusal:
            outcome = "refused"
            raise
        finally:
            self._metrics.command(operation, outcome).inc()

    async def _executed(
        self, command: Command[P], ctx: Context, *args: P.args, **kwargs: P.kwargs
    ) -> Saved:
        if self.blocked:
            raise StoreBlocked(self.blocked)
        if ctx.command_id in self._running:
            raise CommandStillRunning
        self._running.add(ctx.command_id)
        turn = Turn(self._turns)
        try:
            for _ in range(TRIES):
                window = Window(self._lines, turn.enter)
                try:
                    return await self._once(window, command, ctx, *args, **kwargs)
                except Clash as clash:
                    self._metrics.clashes.inc()
                    await turn.again((*window.kept, *clash.aggregate_ids))
            raise TooManyClashes
        finally:
            turn.end()
            self._running.discard(ctx.command_id)

    async def _once(
        self, window: Window, command: Command[P], ctx: Context, *args: P.args, **kwargs: P.kwargs
    ) -> Saved:
        try:
            with step("decide"):
                saved = await command(window, ctx, *args, **kwargs)
        except Refusal:
            # A repeat decides on a later state, which may refuse what was granted before.
            if first := await self.first_outcome(ctx):
                return first
            raise
        window.refuse_unsaved()
        self._store_later(window.snapshots)
        try:
            with step("append"):
                await self._append(window, ctx)
        except AlreadyDone:
            return await self.first_outcome(ctx) or saved
        return saved

    async def _append(self, window: Window, ctx: Context) -> None:
        new = window.commands.get(ctx.command_id) or NewCommand(ctx)
        if set(window.commands) - {ctx.command_id}:
            raise RuntimeError("a command saves under its own context")
        if new.facts:
            await self._writer.append(new)
            return
        values = (ctx.command_id, ctx.request_hash, answer_text(new.answer))
        [(is_first,)] = await self.reads.fetch(NOTE_OUTCOME, values)
        if not is_first:
            raise AlreadyDone((ctx.command_id,))

    async def first_outcome(self, ctx: Context) -> Saved | None:
        """What the command with this id left. Raises IdempotencyKeyReused for another request."""
        found = await self._lines.fetch(FIRST_OUTCOME, (ctx.command_id,))
        if not found:
            return None
        [(request_hash, outcome)] = found
        if request_hash != ctx.request_hash:
            raise IdempotencyKeyReused
        versions = tuple(
            (UUID(aggregate_id), version) for aggregate_id, version in json.loads(outcome)
        )
        found = await self._lines.fetch(A_FACT_TYPE, ([each[0] for each in versions],))
        return Saved(versions, is_repeat=True, types=tuple(row[0] for row in found))

    def _store_later(self, snapshots: list[Snapshot]) -> None:
        if snapshots:
            task = asyncio.create_task(self._keep(snapshots))
            self._background.add(task)
            task.add_done_callback(self._background.discard)

    async def _keep(self, snapshots: list[Snapshot]) -> None:
        try:
            async with self.reads.pool.connection() as connection:
                await keep(connection, snapshots)
        except psycopg.Error as fault:
            log.warning("snapshot not stored: %s", fault)
