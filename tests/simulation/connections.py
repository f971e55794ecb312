"""Connections to the simulated database, as the chassis uses them: each statement is a call."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Self, TypeVar

import psycopg
from psycopg.pq import ExecStatus

from .database import Answer, Blocked, Database, Row, Transaction
from .scheduler import CURRENT, Fate, Scheduler
from .statements import Handler, handler_of

R = TypeVar("R")
LONG = 4  # statements; fewer than in truth, so that a run has windows with several rounds


class Sent(NamedTuple):
    """A statement as it was sent, what was answered, and when by the server's clock."""

    database: str
    connection: "Connection"
    query: str
    values: Any
    answer: Any
    now: datetime


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
            appending = (told for told in collected if "append(" in told.query)
            named = next(appending, collected[-1])
            what = f"{len(collected)} together: {label(named.query)}"
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
