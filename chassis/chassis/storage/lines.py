"""Reads of many at once: what is asked in one turn of the event loop goes out as one message.

A read through a pool costs a connection taken and given back, and a system call, which costs more
than the server's work on it. Here those who decide at the same time share both.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, LiteralString

import psycopg
from psycopg import AsyncConnection, pq
from psycopg.adapt import Transformer
from psycopg.errors import InvalidSqlStatementName, error_from_result

from chassis.storage.calls import LOST, Pipelined
from chassis.storage.placeholders import numbered
from chassis.storage.postgres import PLANNED_ONCE, StoreUnavailable, connected

MOST = 4  # connections
TOO_LONG = 0.005  # seconds that a read may have waited on a line that is to take another one
SETTINGS = {**PLANNED_ONCE, "default_transaction_read_only": "on"}

Rows = tuple[list[str], list[tuple[Any, ...]]]  # names of the columns, and the rows


@dataclass(eq=False, slots=True)
class Asked:
    """A read on its way. `ends`: how many statements of it the server has still to end."""

    statement: tuple[bytes, tuple[int, ...]]
    values: Sequence[Any]
    formats: Sequence[pq.Format]
    answer: "asyncio.Future[pq.abc.PGresult]"
    since: float
    ends: int = 1
    outcome: pq.abc.PGresult | Exception | None = None
    is_again: bool = False


class Line(Pipelined):
    """One connection. Only for what writes nothing: what is asked together is one transaction."""

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        super().__init__(connection)
        self._transformer = Transformer(connection)
        self._names: dict[tuple[bytes, tuple[int, ...]], bytes] = {}
        self._numbers = count()
        self._together: list[Asked] = []  # asked in this turn of the loop
        self._asked: deque[Asked | None] = deque()  # None: the end of what went together

    @classmethod
    async def connect(cls, dsn: str) -> "Line":
        """Raises psycopg.OperationalError."""
        return cls(await connected(dsn, SETTINGS))

    def is_prompt(self, now: float) -> bool:
        since = self.waits_since
        return since is None or now - since < TOO_LONG

    async def ask(self, query: LiteralString, values: Any) -> Rows:
        """Raises psycopg.Error; a connection that is lost or too slow fails all that wait."""
        if self.is_lost:
            raise LOST
        sql, _, formats_asked = statement = numbered(query)
        packed = self._transformer.dump_sequence(statement.given(values), formats_asked)
        types, formats = self._transformer.types or (), self._transformer.formats or ()
        answer: asyncio.Future[pq.abc.PGresult] = self._loop.create_future()
        self._send_soon(Asked((sql, types), packed, formats, answer, time.monotonic()))
        return self._rows(await answer)

    @property
    def is_waiting(self) -> bool:
        return bool(self._asked)

    @property
    def waits_since(self) -> float | None:
        return next((each.since for each in self._asked if each), None)

    def _rows(self, result: pq.abc.PGresult) -> Rows:
        self._transformer.set_pgresult(result)
        names = [(result.fname(column) or b"").decode() for column in range(result.nfields)]
        return names, self._transformer.load_rows(0, result.ntuples, tuple)

    def _send_soon(self, asked: Asked) -> None:
        if not self._together:
            self._loop.call_soon(self._send)
        self._together.append(asked)

    def _send(self) -> None:
        together, self._together = self._together, []
        self._asked += [*together, None]
        if self.is_lost:
            self._fail(LOST)
            return
        try:
            for asked in together:
                self._send_one(asked)
            self._pgconn.pipeline_sync()
            self._flush()
        except psycopg.OperationalError as lost:
            self._lose(lost)
        self._expect_an_answer()

    def _send_one(self, asked: Asked) -> None:
        name = self._names.get(asked.statement)
        asked.ends = 1
        if name is None:
            name = self._names[asked.statement] = b"line%d" % next(self._numbers)
            self._pgconn.send_prepare(name, *asked.statement)
            asked.ends = 2
        self._pgconn.send_query_prepared(
            name, asked.values, asked.formats, result_format=pq.Format.BINARY
        )

    def _take(self, result: pq.abc.PGresult | None) -> None:
        asked = self._asked[0]
        if asked is None:
            if result and result.status == pq.ExecStatus.PIPELINE_SYNC:
                self._asked.popleft()
        elif result is None:
            asked.ends -= 1
            if not asked.ends:
                self._asked.popleft()
                self._tell(asked)
        elif result.status == pq.ExecStatus.TUPLES_OK:
            asked.outcome = result
        elif result.status == pq.ExecStatus.FATAL_ERROR:
            asked.outcome = error_from_result(result)

    def _tell(self, asked: Asked) -> None:
        """One that fails fails those behind it that went with it: they are asked again. So is one
        whose statement could not be prepared then, to be told why.
        """
        outcome = asked.outcome
        is_victim = outcome is None or isinstance(outcome, InvalidSqlStatementName)
        if asked.answer.done():
            return
        if is_victim and not asked.is_again:
            self._names.pop(asked.statement, None)
            asked.is_again, asked.outcome = True, None
            self._send_soon(asked)
        elif isinstance(outcome, Exception):
            asked.answer.set_exception(outcome)
        elif outcome is None:
            asked.answer.set_exception(LOST)
        else:
            asked.answer.set_result(outcome)

    def _fail(self, lost: psycopg.OperationalError) -> None:
        while self._asked:
            asked = self._asked.popleft()
            if asked and not asked.answer.done():
                asked.answer.set_exception(lost)


class Lines:
    """A Reads. As few connections as answer promptly, `most` at most; made when they are needed.

    The server refuses what would write. A read may run twice when the database goes away meanwhile.
    """

    def __init__(self, dsn: str, most: int = MOST) -> None:
        self._dsn, self._most = dsn, most
        self._lines: list[Line] = []
        self._connecting = asyncio.Lock()

    async def close(self) -> None:
        while self._lines:
            await self._lines.pop().close()

    async def fetch(self, query: LiteralString, values: Any) -> list[tuple[Any, ...]]:
        """Raises StoreUnavailable."""
        return (await self._read(query, values))[1]

    async def dicts(self, query: LiteralString, values: Any) -> list[dict[str, Any]]:
        """Raises StoreUnavailable."""
        names, rows = await self._read(query, values)
        return [dict(zip(names, row, strict=True)) for row in rows]

    async def _read(self, query: LiteralString, values: Any) -> Rows:
        try:
            line = self._prompt() or await self._another()
            try:
                return await line.ask(query, values)
            except psycopg.OperationalError:  # a server that was away leaves dead connections
                await self._leave(line)
                return await (self._prompt() or await self._another()).ask(query, values)
        except psycopg.OperationalError as away:
            raise StoreUnavailable from away

    def _prompt(self) -> Line | None:
        now = time.monotonic()
        return next((line for line in self._lines if line.is_prompt(now)), None)

    async def _another(self) -> Line:
        """A new one, or where there are enough, the first that is: it will answer soonest."""
        async with self._connecting:
            if line := self._prompt():
                return line
            if len(self._lines) < self._most:
                self._lines.append(await Line.connect(self._dsn))
                return self._lines[-1]
            return self._lines[0]

    async def _leave(self, line: Line) -> None:
        if line in self._lines:
            self._lines.remove(line)
            await line.close()
