"""Deadlines that are due: each fires once, in the order of their instants, at a bounded rate."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, LiteralString
from uuid import UUID, uuid5

from psycopg import AsyncConnection

from chassis.consuming.intake import House, is_passing
from chassis.context import Context
from chassis.delivery import DeadlineRule, Due
from chassis.storage.rounds import Connection
from chassis.storage.window import (
    AlreadyDone,
    Clash,
    ConnectionWindow,
    Window,
    known_commands,
    lock_append,
)
from chassis.telemetry.at_work import at_work_on
from chassis.telemetry.tracing import traceparent

log = logging.getLogger(__name__)

AT_ONCE = 50  # in one transaction
RETRY_AFTER = (1.0, 5.0, 30.0, 120.0, 600.0)  # seconds; the last one again and again
CUT_OFF = "it was cut off while it was fired, as by the end of its process"

DUE: LiteralString = f"""
SELECT rule, aggregate_id, version, due_at, attempts FROM deadlines
WHERE fired_at IS NULL AND due_at <= %s AND rule = ANY (%s::text[])
    AND (next_try_at IS NULL OR next_try_at <= now())
ORDER BY due_at, rule, aggregate_id LIMIT {AT_ONCE} FOR UPDATE SKIP LOCKED"""  # noqa: S608 - a constant
STILL_DUE: LiteralString = """
SELECT FROM deadlines
WHERE rule = %s AND aggregate_id = %s AND version = %s AND fired_at IS NULL FOR UPDATE"""
FIRED: LiteralString = (
    "UPDATE deadlines SET fired_at = %s WHERE rule = %s AND aggregate_id = %s AND version = %s"
)
POSTPONE: LiteralString = """
UPDATE deadlines SET attempts = attempts + %(tries)s, reason = %(reason)s,
    next_try_at = now() + make_interval(
        secs => (%(pauses)s::float8[])[least(attempts + %(tries)s, %(most)s)])
WHERE rule = %(rule)s AND aggregate_id = %(aggregate_id)s AND version = %(version)s"""
NEXT: LiteralString = (
    "SELECT min(due_at) FROM deadlines WHERE fired_at IS NULL AND attempts = 0"
    " AND rule = ANY (%s::text[])"
)
FAILING: LiteralString = (
    "SELECT count(*) FROM deadlines WHERE fired_at IS NULL AND attempts > 0"
    " AND rule = ANY (%s::text[])"
)


@dataclass(frozen=True)
class Entry:
    """`attempts`: before this one; `is_noted`: this one is counted already."""

    rule: str
    due: Due
    attempts: int
    is_noted: bool = False

    @property
    def key(self) -> tuple[str, UUID, int]:
        return self.rule, self.due.aggregate_id, self.due.version

    @property
    def command_id(self) -> UUID:
        """The same for the same deadline of the same version, however late or often it is tried."""
        return uuid5(uuid5(self.due.aggregate_id, self.rule), str(self.due.version))


class Deadlines:
    def __init__(self, house: House, rules: tuple[DeadlineRule, ...]) -> None:
        self._house = house
        self._rules = {rule.key: rule for rule in rules}
        self._done: frozenset[UUID] = frozenset()
        self._is_new = True

    async def fire(self, connection: Connection, until: datetime) -> int:
        """Fires what is due by `until`, at most AT_ONCE of them, in one transaction.

        What was tried before, and what a life finds first, each in its own and noted before it: it
        may have ended the process, and is not tried again at once. Answers how many it looked at;
        0: nothing is due. Raises psycopg's errors.
        """
        if not self._rules:
            return 0
        found: list[Entry] = []

        async def together() -> list[Entry]:
            found[:] = await self._due(connection, until)
            return [entry for entry in found if not self._is_suspect(entry)]

        await self._commit(connection, together)
        for entry in filter(self._is_suspect, found):
            await _postpone(connection, entry, CUT_OFF)
            await connection.commit()
            await self._commit(connection, partial(_still_due, connection, entry))
        self._is_new = False
        return len(found)

    def _is_suspect(self, entry: Entry) -> bool:
        return self._is_new or entry.attempts > 0

    async def _due(self, connection: Connection, until: datetime) -> list[Entry]:
        found = await connection.now(DUE, (until, list(self._rules)))
        return [Entry(rule, Due(*due), attempts) for rule, *due, attempts in found.rows]

    async def _commit(
        self, connection: Connection, find: Callable[[], Awaitable[list[Entry]]]
    ) -> None:
        """What it finds and locks, in one transaction with the effects."""
        is_locked = False
        while True:
            if is_locked:
                await lock_append(connection)
            entries = await find()
            try:
                await self._fire_all(connection, entries)
                return
            except AlreadyDone as known:
                await connection.rollback()
                self._done |= set(known.command_ids)
            except Clash:
                await connection.rollback()
                is_locked = True

    async def _fire_all(self, connection: Connection, entries: list[Entry]) -> None:
        if entries:  # after a restore one may have fired before: it would decide again, and later
            ids = [entry.command_id for entry in entries]
            self._done |= await known_commands(connection, ids)
        window = Window.on(connection)
        fired = [entry.rule for entry in entries if await self._fire_one(window, entry)]
        await window.append_and_commit(self._house.now())
        for rule in fired:
            self._house.sight.metrics.fired.labels(rule).inc()

    async def _fire_one(self, window: ConnectionWindow, entry: Entry) -> bool:
        about = {"command_id": entry.command_id, "correlation_id": entry.command_id}
        span = self._house.sight.tracer.begin(f"deadline {entry.rule}")
        with span, at_work_on(lambda: about):
            return await self._fired(window, entry)

    async def _fired(self, window: ConnectionWindow, entry: Entry) -> bool:
        connection, mark = window.connection, window.mark()
        try:
            async with connection.transaction():
                if entry.command_id not in self._done:
                    rule = self._rules[entry.rule]
                    await rule.then(window, self._context(entry), entry.due)
                    await connection.round()
                    window.refuse_unsaved()
        except Exception as fault:
            if is_passing(fault) or isinstance(fault, Clash) or connection.closed:
                raise
            connection.forget()
            window.set_back(mark)
            log.exception("deadline %s of %s failed", entry.rule, entry.due.aggregate_id)
            await _postpone(connection, entry, f"{type(fault).__name__}: {fault}"[:500])
            return False
        await connection.now(FIRED, (self._house.now(), *entry.key))
        return True

    def _context(self, entry: Entry) -> Context:
        return Context(
            actor=self._house.actor,
            now=self._house.now(),
            command_id=entry.command_id,
            correlation_id=entry.command_id,
            traceparent=traceparent(),
        )

    async def next_due(self, connection: AsyncConnection[Any]) -> datetime | None:
        """The first that has not fired, those that fail left out."""
        found = await connection.execute(NEXT, (list(self._rules),))
        at: datetime | None = (await found.fetchall())[0][0]
        return at

    async def failing(self, connection: AsyncConnection[Any]) -> int:
        """How many were tried and are still to be fired."""
        found = await connection.execute(FAILING, (list(self._rules),))
        return int((await found.fetchall())[0][0])


async def _still_due(connection: Connection, noted: Entry) -> list[Entry]:
    """Unless it was moved, or another process has fired it, since it was noted."""
    found = await connection.now(STILL_DUE, noted.key)
    return [replace(noted, is_noted=True)] if found.rows else []


async def _postpone(connection: AsyncConnection[Any], entry: Entry, reason: str) -> None:
    values = {
        "rule": entry.rule,
        "aggregate_id": entry.due.aggregate_id,
        "version": entry.due.version,
        "tries": 0 if entry.is_noted else 1,
        "reason": reason,
        "pauses": list(RETRY_AFTER),
        "most": len(RETRY_AFTER),
    }
    await connection.execute(POSTPONE, values)
