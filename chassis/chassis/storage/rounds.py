"""A connection whose statements travel together: collected, sent and answered in one round trip.

psycopg waits for each statement that it sends, and in its pipelines still hands each to the socket
by itself; that costs more than all the server does about most of them. So libpq is spoken to here,
as far as psycopg offers it, while psycopg connects, adapts values and knows the errors.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, LiteralString, NamedTuple, Self

import psycopg
from psycopg import AsyncConnection, abc, pq
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result

from chassis.storage.placeholders import numbered

CANCELLED_WITHIN = 3.0  # seconds; a server that does not answer to a cancellation is left
LONG = 100  # statements
LOOK_EVERY = 1.0  # seconds; of a connection that is reset libuv tells its reader nothing
LOST = "the connection is lost"

Values = Sequence[Any] | Mapping[str, Any]


class Answer:
    """What the server said about one statement; to be read once its round is over."""

    def __init__(self) -> None:
        self.result: pq.abc.PGresult | None = None
        self._rows: list[tuple[Any, ...]] = []

    def take(self, result: pq.abc.PGresult, adapted: abc.Transformer) -> None:
        self.result = result
        if result.ntuples:
            adapted.set_pgresult(result, format=pq.Format.BINARY)
            self._rows = adapted.load_rows(0, result.ntuples, tuple)

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        return self._rows

    @property
    def count(self) -> int:
        """Rows that it changed."""
        return (self.result.command_tuples or 0) if self.result else 0

    def dicts(self) -> list[dict[str, Any]]:
        """The rows by their columns' names."""
        if not self.result:
            return []
        columns = [self.result.fname(number) or b"" for number in range(self.result.nfields)]
        names = [name.decode() for name in columns]
        return [dict(zip(names, row, strict=True)) for row in self._rows]


class Collected(NamedTuple):
    key: tuple[bytes, tuple[int, ...]]
    values: Sequence[Any]
    formats: Sequence[pq.Format]
    answer: Answer


class Connection(AsyncConnection[tuple[Any, ...]]):
    """What psycopg's own methods do, they do at once: `execute` sends what was collected first.

    A transaction begins by itself, as psycopg's do, unless the connection commits by itself.
    """

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._round_collected: list[Collected] = []
        self._round_prepared: dict[tuple[bytes, tuple[int, ...]], bytes] = {}
        self._round_adapted: abc.Transformer | None = None
        self.round_lost: Callable[[psycopg.OperationalError], None] | None = None

    @classmethod
    async def connect(cls, conninfo: str = "", **settings: Any) -> Self:
        """As psycopg's, which prepares nothing itself: it drops after a rollback what it prepared,
        and with that what rounds have prepared.
        """
        return await super().connect(conninfo, **settings, prepare_threshold=None)

    def later(self, sql: LiteralString, values: Values = ()) -> Answer:
        """Collects it for the next round; errors of the server come with that."""
        if self._round_adapted is None:
            self._round_adapted = Transformer(self)
        statement = numbered(sql)
        dumped = self._round_adapted.dump_sequence(statement.given(values), statement.formats)
        key = (statement.sql, tuple(self._round_adapted.types or ()))
        answer = Answer()
        self._round_collected.append(
            Collected(key, dumped, self._round_adapted.formats or (), answer)
        )
        return answer

    async def now(self, sql: LiteralString, values: Values = ()) -> Answer:
        """The answer to this statement: it ends the round."""
        answer = self.later(sql, values)
        await self.round()
        return answer

    async def round(self) -> None:
        """Sends what was collected. Raises psycopg.Error, the first of the round.

        Another task may use the connection meanwhile: each waits for the other, as in psycopg.
        """
        collected, self._round_collected = self._round_collected, []
        if not collected:
            return
        async with self.lock:
            if self.closed:
                raise psycopg.OperationalError(LOST)
            await _Round(self, self._round_prepared, collected).run()

    async def round_if_long(self) -> None:
        """So that the server works meanwhile, and no transaction is silent for too long."""
        if len(self._round_collected) >= LONG:
            await self.round()

    def forget(self) -> None:
        """What was collected, and not sent."""
        self._round_collected.clear()

    def opening(self) -> bytes:
        """What begins a transaction, if one is to be begun."""
        is_idle = self.pgconn.transaction_status == pq.TransactionStatus.IDLE
        return self._get_tx_start_command() if is_idle and not self.autocommit else b""

    @property
    def adapted(self) -> abc.Transformer:
        assert self._round_adapted  # noqa: S101 - something was collected
        return self._round_adapted

    async def execute(self, *args: Any, **settings: Any) -> Any:
        await self.round()
        return await super().execute(*args, **settings)

    async def commit(self) -> None:
        """In the same round trip as what was collected."""
        if self._round_collected:
            self.later("COMMIT")
            await self.round()
        else:
            await super().commit()

    async def rollback(self) -> None:
        self.forget()
        await super().rollback()

    async def close(self) -> None:
        """A round under way is lost, before the number of its socket is another's."""
        if self.round_lost:
            self.round_lost(psycopg.OperationalError(LOST))
        await super().close()


class _Round:
    """One exchange: all statements, one point where the server answers, all answers."""

    def __init__(
        self,
        connection: Connection,
        prepared: dict[tuple[bytes, tuple[int, ...]], bytes],
        collected: list[Collected],
    ) -> None:
        self._connection, self._pgconn = connection, connection.pgconn
        self._prepared, self._collected = prepared, collected
        self._fault: psycopg.Error | None = None
        # What answers are expected for, in order: a name to be known once prepared, or an answer.
        self._expected: list[tuple[tuple[bytes, tuple[int, ...]], bytes] | Answer | None] = []
        self._at = 0

    async def run(self) -> None:
        # What the server said at last: written to, its end of the connection would only refuse.
        self._pgconn.consume_input()
        self._expect_alive()
        self._pgconn.enter_pipeline_mode()
        try:
            self._send()
            await self._exchanged()
        finally:
            if not self._connection.closed:
                self._pgconn.exit_pipeline_mode()
        if self._fault:
            raise self._fault

    def _send(self) -> None:
        if opening := self._connection.opening():
            self._pgconn.send_query_params(opening, None)
            self._expected.append(None)
        names = dict(self._prepared)
        for key, values, formats, answer in self._collected:
            if key not in names:
                names[key] = f"round_{len(names)}".encode()
                self._pgconn.send_prepare(names[key], *key)
                self._expected.append((key, names[key]))
            self._pgconn.send_query_prepared(
                names[key], values, formats, result_format=pq.Format.BINARY
            )
            self._expected.append(answer)
        self._pgconn.pipeline_sync()

    async def _exchanged(self) -> None:
        loop, socket = asyncio.get_running_loop(), self._pgconn.socket
        over: asyncio.Future[None] = loop.create_future()

        is_left = False
        watch: asyncio.TimerHandle

        def leave() -> None:
            nonlocal is_left
            if not is_left:
                is_left = True
                loop.remove_reader(socket)
                loop.remove_writer(socket)

        def lose(lost: psycopg.OperationalError) -> None:
            """At once: libpq has closed the socket, and its number may be another's next."""
            leave()
            if not over.done():
                over.set_exception(self._fault or lost)

        def advance() -> None:
            if over.done():  # behind its end there is no answer, and libpq says so for ever
                return
            try:
                self._pgconn.consume_input()
                if self._is_over() and not over.done():
                    over.set_result(None)
            except psycopg.OperationalError as lost:
                lose(lost)

        def look() -> None:
            nonlocal watch
            advance()
            watch = loop.call_later(LOOK_EVERY, look)

        def flush() -> None:
            try:
                if self._pgconn.flush() == 0:
                    loop.remove_writer(socket)
            except psycopg.OperationalError as lost:
                lose(lost)

        watch = loop.call_later(LOOK_EVERY, look)
        loop.add_reader(socket, advance)
        self._connection.round_lost = lose
        try:
            if self._pgconn.flush():
                loop.add_writer(socket, flush)
            await self._answered(over)
        finally:
            self._connection.round_lost = None
            watch.cancel()
            leave()

    async def _answered(self, over: asyncio.Future[None]) -> None:
        """Cancelled, it leaves a connection that can be used, or is closed."""
        try:
            await asyncio.shield(over)
        except asyncio.CancelledError:
            with suppress(psycopg.Error, TimeoutError):
                async with asyncio.timeout(CANCELLED_WITHIN):
                    await self._connection.cancel_safe()
                    await over
            if not over.done() or over.cancelled():
                over.cancel()
                await self._connection.close()
            raise

    def _is_over(self) -> bool:
        """Takes what has come. Raises OperationalError."""
        while not self._pgconn.is_busy():
            result = self._pgconn.get_result()
            if result is None:
                self._at += 1
            elif result.status == pq.ExecStatus.PIPELINE_SYNC:
                return True
            else:
                self._take(result)
            self._expect_alive()
        self._expect_alive()
        return False

    def _expect_alive(self) -> None:
        """A socket that libpq has closed tells nothing more. Raises OperationalError."""
        if self._pgconn.status == pq.ConnStatus.BAD:
            raise psycopg.OperationalError(LOST)

    def _take(self, result: pq.abc.PGresult) -> None:
        if result.status == pq.ExecStatus.FATAL_ERROR:
            self._fault = self._fault or error_from_result(result)
        elif result.status != pq.ExecStatus.PIPELINE_ABORTED:
            of = self._expected[self._at]
            if isinstance(of, Answer):
                of.take(result, self._connection.adapted)
            elif of:
                self._prepared[of[0]] = of[1]
