"""Connections that take many statements without waiting for the answer of each.

psycopg's own execute takes 150 us a call and has no autocommit in a pipeline; commands need both.
So this speaks to libpq, by what psycopg offers of it, and psycopg connects and knows the errors.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import psycopg
from psycopg import AsyncConnection, pq
from psycopg.errors import error_from_result

from chassis.storage.postgres import NONE, connected

ANSWER_WITHIN = 8.0  # seconds for one call; a server that hangs is left
LOST = psycopg.OperationalError("the connection is lost")
TOO_LATE = psycopg.OperationalError("the server did not answer in time")
CLOSED = psycopg.OperationalError("the connection was closed")
Row = tuple[bytes | None, ...]
Answered = Callable[[Row | Exception], None]


class Prepared(NamedTuple):
    """A statement with $1, $2 ... of these types (oids), under a name of its own."""

    name: bytes
    sql: bytes
    types: Sequence[int] = ()


Asked = tuple[Prepared, Sequence[bytes | None]]  # with its values, in binary format


class Pipelined(ABC):
    """One connection in libpq's pipeline mode, read and written by the event loop."""

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        self._connection = connection
        self._pgconn = connection.pgconn
        self._loop = asyncio.get_running_loop()
        self._is_blocked = False  # the socket takes no more for now
        self._limit: asyncio.TimerHandle | None = None
        self.is_lost = False
        self._pgconn.enter_pipeline_mode()
        self._pgconn.nonblocking = 1
        self._socket = self._pgconn.socket  # libpq forgets it when the connection is lost
        self._loop.add_reader(self._socket, self._read)

    @property
    @abstractmethod
    def is_waiting(self) -> bool:
        """An answer is still to come."""

    @property
    @abstractmethod
    def waits_since(self) -> float | None:
        """When the oldest of those who wait asked (monotonic seconds); None: nobody waits."""

    @abstractmethod
    def _take(self, result: pq.abc.PGresult | None) -> None:
        """One of what the server answers: a row or error, the end of a statement, a sync."""

    @abstractmethod
    def _fail(self, lost: psycopg.OperationalError) -> None:
        """Tells all that wait."""

    async def close(self) -> None:
        self._lose(CLOSED)
        await self._connection.close()

    def _expect_an_answer(self) -> None:
        """One timer for all who wait: it goes on for the oldest that is not answered."""
        if self._limit is None:
            self._limit = self._loop.call_later(ANSWER_WITHIN, self._look_for_late)

    def _look_for_late(self) -> None:
        self._limit = None
        if (since := self.waits_since) is None:
            return
        left = since + ANSWER_WITHIN - time.monotonic()
        if left > 0:
            self._limit = self._loop.call_later(left, self._look_for_late)
        else:
            self._lose(TOO_LATE)

    def _flush(self) -> None:
        is_all_sent = self._pgconn.flush() == 0
        if self._is_blocked and is_all_sent:
            self._loop.remove_writer(self._socket)
        elif not self._is_blocked and not is_all_sent:
            self._loop.add_writer(self._socket, self._write)
        self._is_blocked = not is_all_sent

    def _write(self) -> None:
        try:
            self._flush()
        except psycopg.OperationalError as lost:
            self._lose(lost)

    def _read(self) -> None:
        try:
            self._pgconn.consume_input()
            while self.is_waiting and not self._pgconn.is_busy():
                self._take(self._pgconn.get_result())
            if self._pgconn.status == pq.ConnStatus.BAD:
                self._lose(LOST)
        except psycopg.OperationalError as lost:
            self._lose(lost)

    def _lose(self, lost: psycopg.OperationalError) -> None:
        if not self.is_lost:
            self.is_lost = True
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
        if self._limit:
            self._limit.cancel()
            self._limit = None
        self._fail(lost)


class Calls(Pipelined):
    """The same statements, again and again: what is asked with one call is a transaction of its
    own; calls run, and are answered, in the order asked.
    """

    def __init__(self, connection: AsyncConnection[Any], statements: Sequence[Prepared]) -> None:
        super().__init__(connection)
        self._asked: deque[tuple[float, Answered]] = deque()
        self._outcome: Row | Exception = ()
        for statement in statements:
            self._pgconn.send_prepare(*statement)

    @classmethod
    async def connect(
        cls, dsn: str, statements: Sequence[Prepared], settings: Mapping[str, str] = NONE
    ) -> "Calls":
        """Raises psycopg.OperationalError."""
        return cls(await connected(dsn, settings), statements)

    def call(self, asked: Sequence[Asked], answered: Answered) -> None:
        """`answered` is told the first row of the last statement as text, an empty one if it has
        none, or a psycopg.Error; maybe before this returns.

        A connection that is lost or too slow fails all that were asked, as OperationalError. No
        future is answered here: its callbacks would wait for another turn of the loop.
        """
        self._asked.append((time.monotonic(), answered))
        if self.is_lost:
            self._lose(LOST)
            return
        self._expect_an_answer()
        try:
            for (name, _, types), values in asked:
                self._pgconn.send_query_prepared(name, values, [pq.Format.BINARY] * len(types))
            self._pgconn.pipeline_sync()
            self._flush()
        except psycopg.OperationalError as lost:
            self._lose(lost)

    @property
    def is_waiting(self) -> bool:
        return bool(self._asked)

    @property
    def waits_since(self) -> float | None:
        return self._asked[0][0] if self._asked else None

    def _take(self, result: pq.abc.PGresult | None) -> None:
        if result is None:
            return
        if result.status == pq.ExecStatus.TUPLES_OK:
            columns = range(result.nfields if result.ntuples else 0)
            self._outcome = tuple(result.get_value(0, column) for column in columns)
        elif result.status == pq.ExecStatus.FATAL_ERROR:
            self._outcome = error_from_result(result)
        elif result.status == pq.ExecStatus.PIPELINE_SYNC:
            self._asked.popleft()[1](self._outcome)

    def _fail(self, lost: psycopg.OperationalError) -> None:
        while self._asked:
            self._asked.popleft()[1](lost)
