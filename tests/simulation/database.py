"""A database in memory: tables, transactions (READ COMMITTED) and their locks.

What a statement does in it is said by the `*_model.py`, which `statements.py` finds.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

Row = dict[str, Any]
Answer = list[Row] | int


def chosen(row: Row, *names: str) -> Row:
    return {name: row[name] for name in names}


class Event(NamedTuple):
    """A row of `events`."""

    position: int
    aggregate_id: UUID
    version: int
    type: str
    data: bytes
    event_id: UUID
    occurred_at: datetime
    recorded_at: datetime
    actor_id: UUID
    command_id: UUID
    command_place: int
    request_hash: str
    correlation_id: UUID
    causation_id: UUID | None
    traceparent: str
    chain: bytes
    outcome: Any


class Blocked(Exception):
    """Another transaction holds what this statement needs."""

    def __init__(self, lock: Hashable) -> None:
        super().__init__(lock)
        self.lock = lock


@dataclass
class Database:
    """`now`: the server's own clock."""

    name: str
    now: Callable[[], datetime]
    tables: dict[str, dict[Any, Row]] = field(default_factory=lambda: defaultdict(dict))
    events: list[Event] = field(default_factory=list)
    streams: dict[UUID, list[Event]] = field(default_factory=lambda: defaultdict(list))
    commands: dict[UUID, list[Event]] = field(default_factory=lambda: defaultdict(list))
    serial: int = 0
    locks: dict[Hashable, "Transaction"] = field(default_factory=dict)
    waiting: dict[Hashable, list["asyncio.Future[None]"]] = field(default_factory=dict)
    leaders: dict[int, object] = field(default_factory=dict)

    def copied(self, now: Callable[[], datetime]) -> "Database":
        """Rows are never changed in place, so they are shared."""
        copy = Database(self.name, now, events=list(self.events), serial=self.serial)
        for name, rows in self.tables.items():
            copy.tables[name] = dict(rows)
        for source, target in ((self.streams, copy.streams), (self.commands, copy.commands)):
            for its_id, facts in source.items():
                target[its_id] = list(facts)
        return copy

    def keep(self, event: Event) -> None:
        self.events.append(event)
        self.streams[event.aggregate_id].append(event)
        self.commands[event.command_id].append(event)

    def free(self, lock: Hashable) -> None:
        del self.locks[lock]
        for waiter in self.waiting.pop(lock, ()):
            if not waiter.done():
                waiter.set_result(None)


@dataclass(eq=False)
class Transaction:
    database: Database
    connection: object
    written: dict[tuple[str, Any], Row | None] = field(default_factory=dict)
    appended: list[Event] = field(default_factory=list)
    held: list[Hashable] = field(default_factory=list)
    waits_for: Hashable = None
    is_failed: bool = False

    def get(self, table: str, key: Any) -> Row | None:
        if (table, key) in self.written:
            return self.written[table, key]
        return self.database.tables[table].get(key)

    def rows(self, table: str) -> dict[Any, Row]:
        rows = self.database.tables[table]
        mine = {key: row for (name, key), row in self.written.items() if name == table}
        if not mine:
            return rows
        return {key: row for key, row in (rows | mine).items() if row is not None}

    def put(self, table: str, key: Any, row: Row) -> int:
        self.lock((table, key))
        self.written[table, key] = row
        return 1

    def delete(self, table: str, key: Any) -> int:
        if self.get(table, key) is None:
            return 0
        self.lock((table, key))
        self.written[table, key] = None
        return 1

    def insert(self, table: str, key: Any, /, **row: Any) -> int:
        """ON CONFLICT DO NOTHING."""
        self.lock((table, key))
        return 0 if self.get(table, key) else self.put(table, key, row)

    def patch(self, table: str, key: Any, /, **changes: Any) -> int:
        row = self.get(table, key)
        return 0 if row is None else self.put(table, key, row | changes)

    def lock(self, lock: Hashable) -> None:
        """Raises Blocked, DeadlockDetected."""
        holder = self.database.locks.setdefault(lock, self)
        if holder is self:
            if lock not in self.held:
                self.held.append(lock)
            return
        waiter: Transaction | None = holder
        while waiter is not None and waiter.waits_for is not None:
            waiter = self.database.locks.get(waiter.waits_for)
            if waiter is self:
                raise psycopg.errors.DeadlockDetected("a circle of locks")
        raise Blocked(lock)

    def is_taken(self, table: str, key: Any) -> bool:
        """By another transaction: what SKIP LOCKED skips."""
        return self.database.locks.get((table, key), self) is not self

    def mark(self) -> tuple[dict[tuple[str, Any], Row | None], int]:
        return dict(self.written), len(self.appended)

    def back_to(self, mark: tuple[dict[tuple[str, Any], Row | None], int]) -> None:
        self.written, self.is_failed = mark[0], False
        del self.appended[mark[1] :]

    def end(self, is_committed: bool) -> None:
        if is_committed and not self.is_failed:
            for (table, key), row in self.written.items():
                if row is None:
                    self.database.tables[table].pop(key, None)
                else:
                    self.database.tables[table][key] = row
            for event in self.appended:
                self.database.keep(event)
        for lock in self.held:
            self.database.free(lock)
        self.held = []
