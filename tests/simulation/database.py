"""A database in memory: tables, transactions (READ COMMITTED), locks, and connections to it.

It answers the statements that this project sends, each by a function of the modules beside this
one, and no others. That they are a model of PostgreSQL is shown by test_the_model_is_true.py.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Self, TypeVar
from uuid import UUID

import psycopg
from psycopg.pq import ExecStatus

from .scheduler import CURRENT, Fate, Scheduler

R = TypeVar("R")
Row = dict[str, Any]
Answer = list[Row] | int
Handler = Callable[["Transaction", Any], Answer]
LONG = 4  # statements; fewer than in truth, so that a run has windows with several rounds
HANDLERS: dict[str, Handler] = {}
PREFIXES: dict[str, Handler] = {}


def answers(*statements: str) -> Callable[[Handler], Handler]:
    """The function that stands for these statements. Rows as dicts in the order of the columns."""

    def keep(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(statements, handler))
        return handler

    return keep


def begins(*prefixes: str) -> Callable[[Handler], Handler]:
    """As `answers`, for statements that begin so."""

    def keep(handler: Handler) -> Handler:
        PREFIXES.update(dict.fromkeys(prefixes, handler))
        return handler

    return keep


def handler_of(statement: str) -> Handler:
    if statement not in HANDLERS:
        found = [each for prefix, each in PREFIXES.items() if statement.startswith(prefix)]
        if len(found) != 1:
            raise NotImplementedError(f"{len(found)} models of this statement: {statement}")
        HANDLERS[statement] = found[0]
    return HANDLERS[statement]


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


class Sent(NamedTuple):
    """A statement as it was sent, what was answered, and when by the server's clock."""

    database: str
    connection: "Connection"
    query: str
    values: Any
    answer: Any
    now: datetime


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
    leaders: dict[int, "Connection"] = field(default_factory=dict)

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
    connection: "Connection"
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


class _Result:
    """As much of libpq's as psycopg's row factories ask for."""

    status = ExecStatus.TUPLES_OK

    def __init__(self, names: list[str]) -> None:
        self._names, self.nfields = names, len(names)

    def fname(self, index: int) -> bytes:
        return self._names[index].encode()


class Cursor:
    _encoding = "utf-8"

    def __init__(self, connection: "Connection", row_factory: Any = None) -> None:
        self._connection, self._row_factory = connection, row_factory
        self._rows: list[Any] = []
        self.rowcount, self.description = -1, False
        self.pgresult: _Result | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is open."""

    async def execute(self, query: str, values: Any = None, **_: Any) -> "Cursor":
        answer = await self._connection.run(query, values)
        if isinstance(answer, int):
            self.rowcount = answer
            return self
        self.description, self.rowcount = True, len(answer)
        if answer:
            self.pgresult = _Result(list(answer[0]))
            make = self._row_factory(self) if self._row_factory else tuple
            self._rows = [make(tuple(row.values())) for row in answer]
        return self

    async def fetchall(self) -> list[Any]:
        return self._rows

    async def fetchone(self) -> Any:
        return self._rows[0] if self._rows else None


@dataclass(eq=False)
class Told:
    """One statement of a round, and what was answered."""

    query: str
    values: Any
    answer: Answer = 0

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in self.dicts()]

    @property
    def count(self) -> int:
        return self.answer if isinstance(self.answer, int) else len(self.answer)

    def dicts(self) -> list[Row]:
        return self.answer if isinstance(self.answer, list) else []


def lost() -> psycopg.OperationalError:
    return psycopg.OperationalError("the connection is lost")


def label(statement: str) -> str:
    return " ".join(statement.split())[:60]


class Connection:
    """As much of chassis.storage.rounds.Connection as the chassis uses."""

    def __init__(
        self, scheduler: Scheduler, database: Database, *, autocommit: bool, log: list[Sent] | None
    ) -> None:
        self._scheduler, self._database, self._autocommit = scheduler, database, autocommit
        self._transaction: Transaction | None = None
        self._is_explicit = not autocommit
        self._collected: list[Told] = []
        self._log = log
        self.closed = False
        self._process = CURRENT.get()
        self._process.on_death.append(self.lose)
        self._process.on_frozen.append(self._lose_what_it_holds)

    # Its end

    def lose(self) -> None:
        if not self.closed:
            self.closed = True
            self._process.forget(self.lose, self._lose_what_it_holds)
            self._end(is_committed=False)
            for lock, owner in list(self._database.leaders.items()):
                if owner is self:
                    del self._database.leaders[lock]
            self._told("CLOSE")

    def _lose_what_it_holds(self) -> None:
        """The server ends a session that is silent in a transaction, or as a leader."""
        if self._transaction or self in self._database.leaders.values():
            self.lose()

    async def close(self) -> None:
        self.lose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.lose()

    def _end(self, *, is_committed: bool) -> None:
        if self._transaction:
            self._transaction.end(is_committed)
            if self._is_explicit:
                self._told("COMMIT" if is_committed else "ROLLBACK")
        self._transaction = None
        self._is_explicit = not self._autocommit

    def _begin(self) -> Transaction:
        self._transaction = Transaction(self._database, self)
        if self._is_explicit:
            self._told("BEGIN")
        return self._transaction

    # Statements

    def cursor(self, row_factory: Any = None) -> Cursor:
        return Cursor(self, row_factory)

    async def execute(self, query: str, values: Any = None, **more: Any) -> Cursor:
        return await Cursor(self).execute(query, values, **more)

    async def run(self, query: str, values: Any) -> Answer:
        """What was collected first, then this."""
        await self.round()
        return await self._called(label(query), lambda: self._answered(query, values))

    def later(self, query: str, values: Any = ()) -> Told:
        told = Told(query, values)
        self._collected.append(told)
        return told

    async def now(self, query: str, values: Any = ()) -> Told:
        told = self.later(query, values)
        await self.round()
        return told

    def forget(self) -> None:
        self._collected = []

    async def round(self) -> None:
        """All in one round trip: nothing happens between its statements."""
        collected, self._collected = self._collected, []
        if collected:
            what = f"{len(collected)} together: {label(collected[-1].query)}"
            await self._called(what, lambda: self._all_answered(collected))

    async def round_if_long(self) -> None:
        """Its first statements may reach the server before the others are there."""
        if len(self._collected) >= LONG:
            await self.round()

    async def _all_answered(self, collected: list[Told]) -> None:
        """They stand and fall together, also where the connection commits by itself."""
        is_joined = not self._is_explicit and len(collected) > 1
        if is_joined:
            self._is_explicit = True
        try:
            for told in collected:
                if told.query == "COMMIT":
                    self._commit()
                else:
                    told.answer = await self._answered(told.query, told.values)
        except psycopg.Error:
            if is_joined:
                self._end(is_committed=False)
            raise
        if is_joined:
            self._end(is_committed=True)

    async def _called(self, what: str, work: Callable[[], Awaitable[R]]) -> R:
        """One call of the port."""
        if self.closed:
            raise lost()
        fate = await self._scheduler.point(what)
        if fate is Fate.LOST:
            self.lose()
        if self.closed:
            raise lost()
        answer = await work()
        if fate is Fate.UNANSWERED:
            self.lose()
            raise lost()
        return answer

    async def _answered(self, query: str, values: Any) -> Answer:
        transaction = self._transaction or self._begin()
        if transaction.is_failed:
            raise psycopg.errors.InFailedSqlTransaction("roll it back")
        try:
            answer = await self._waited(transaction, handler_of(query), values)
        except psycopg.Error as fault:
            self._told(query, values, fault)
            if not self._is_explicit:
                self._end(is_committed=False)
            raise
        self._told(query, values, answer)
        if not self._is_explicit:
            self._end(is_committed=True)
        return answer

    async def _waited(self, transaction: Transaction, handler: Handler, values: Any) -> Answer:
        """A statement that needs a lock begins anew once it is free: it sees what was committed."""
        while True:
            mark = transaction.mark()
            try:
                return handler(transaction, values)
            except Blocked as blocked:
                transaction.back_to(mark)
                free: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._database.waiting.setdefault(blocked.lock, []).append(free)
                transaction.waits_for = blocked.lock
                await free
                transaction.waits_for = None
                if self.closed:
                    raise lost() from None
            except psycopg.Error:
                transaction.back_to(mark)
                transaction.is_failed = True
                raise
            except Exception as bug:
                self._scheduler.bug = bug  # of the model, which no part of the chassis may swallow
                raise

    def _told(self, query: str, values: Any = None, answer: Any = None) -> None:
        if self._log is not None:
            now = self._database.now()
            self._log.append(Sent(self._database.name, self, query, values, answer, now))

    # Transactions

    async def commit(self) -> None:
        if self._collected:
            self.later("COMMIT")
            await self.round()
        else:
            await self._called("commit", self._commit_alone)

    async def _commit_alone(self) -> None:
        self._commit()

    def _commit(self) -> None:
        is_failed = self._transaction is not None and self._transaction.is_failed
        self._end(is_committed=not is_failed)

    async def rollback(self) -> None:
        self.forget()
        if self.closed:
            raise lost()
        self._end(is_committed=False)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """A savepoint, where one is open."""
        if self._transaction is None:
            self._is_explicit = True
            self._begin()
            try:
                yield
            except BaseException:
                self._end(is_committed=False)
                raise
            await self.commit()
            return
        transaction, mark = self._transaction, self._transaction.mark()
        self._told("SAVEPOINT inner_one")
        try:
            yield
        except BaseException:
            transaction.back_to(mark)
            self._told("ROLLBACK TO SAVEPOINT inner_one")
            raise
        self._told("RELEASE SAVEPOINT inner_one")
