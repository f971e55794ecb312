"""The one writer of a process: commands that wait at the same time are appended together."""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import LiteralString
from uuid import UUID

import psycopg

from chassis.storage import alone
from chassis.storage.calls import Answered, Calls, Prepared, Row
from chassis.storage.new_facts import NUMBERED_APPEND, TYPES, NewCommand, append_arguments
from chassis.storage.postgres import StoreUnavailable, connected
from chassis.storage.window import AlreadyDone, Clash
from chassis.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

LARGEST_BATCH = 256  # commands
GIVE_UP_AFTER = 3.0  # seconds without a database, until those who wait are told
PAUSE = 0.1  # seconds between attempts to connect

ALL = Prepared(b"append", NUMBERED_APPEND, TYPES)
FIRST_EVENTS: LiteralString = "SELECT event_id, command_id FROM first_outcomes(%s)"

IN_FLIGHT = 2  # batches: the server appends one while the other is made ready and answered

Waiting = tuple[NewCommand, "asyncio.Future[None]"]


class Writer:
    """One connection; one statement and one fsync a batch; the next batch gathers meanwhile.

    `on_appended` is called after each commit that appended, with the store's last position.
    """

    def __init__(
        self,
        dsn: str,
        now: Callable[[], datetime],
        on_appended: Callable[[int], None],
        metrics: Metrics,
    ) -> None:
        self._dsn = dsn
        self._metrics = metrics
        self._now = now
        self._on_appended = on_appended
        self._calls: Calls | None = None
        self._connecting = asyncio.Lock()
        self._waiting: list[Waiting] = []
        self._in_flight = 0
        # The last one was alone from its question to its answer, and so the next one may be: a turn
        # of the loop is long for it.
        self._was_alone = self._is_lonely = False
        self._is_sending = False  # `_send` will run in this or the next turn of the loop
        self._rescues: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()

    async def append(self, command: NewCommand) -> None:
        """Returns once durable. Raises Clash, AlreadyDone, StoreUnavailable, psycopg.Error."""
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, answer))
        if self._is_lonely:
            self._send()
        else:
            self._send_soon()
        await answer

    async def close(self) -> None:
        """Waits for what was asked, then disconnects."""
        while self._waiting or self._in_flight:
            self._idle.clear()
            await self._idle.wait()
        await self._disconnect(self._calls)

    def _send_soon(self) -> None:
        if not self._is_sending and self._in_flight < IN_FLIGHT:
            self._is_sending = True
            asyncio.get_running_loop().call_soon(self._send)

    def _send(self) -> None:
        """Half of what waits when nothing is in flight, so that server and client never idle."""
        self._is_sending = False
        while self._waiting and self._in_flight < IN_FLIGHT:
            half = (len(self._waiting) + 1) // 2
            size = min(len(self._waiting) if self._in_flight else half, LARGEST_BATCH)
            batch, self._waiting = self._waiting[:size], self._waiting[size:]
            self._in_flight += 1
            self._is_lonely, self._was_alone = False, self._in_flight == size == 1
            if self._calls:
                self._ask(self._calls, batch, partial(self._answered, self._calls, batch))
            else:
                self._rescue(batch, None, None)

    def _ask(self, calls: Calls, batch: list[Waiting], answered: Answered) -> None:
        told = partial(self._measured, time.perf_counter(), answered)
        command = batch[0][0]
        if len(batch) == len(command.facts) == 1:
            asked = alone.statements(command, self._now())
            calls.call(asked, partial(self._told_alone, calls, batch, told))
        else:
            self._ask_all(calls, batch, told)
        self._metrics.batch_commands.observe(len(batch))

    def _told_alone(
        self, calls: Calls, batch: list[Waiting], told: Answered, outcome: Row | Exception
    ) -> None:
        """Of a fact that was not appended, `append` says why."""
        if outcome == ():
            self._ask_all(calls, batch, told)
        else:
            told(outcome)

    def _ask_all(self, calls: Calls, batch: list[Waiting], told: Answered) -> None:
        values = append_arguments([command for command, _ in batch], self._now())
        calls.call([(ALL, values)], told)

    def _measured(self, began_at: float, answered: Answered, outcome: Row | Exception) -> None:
        """Those who wait are told before anything is counted."""
        took = time.perf_counter() - began_at
        answered(outcome)
        if isinstance(outcome, Exception):
            self._metrics.append_failures.inc()
        else:
            self._metrics.append_seconds.observe(took)

    def _answered(self, calls: Calls, batch: list[Waiting], outcome: Row | Exception) -> None:
        if isinstance(outcome, Exception):
            self._rescue(batch, calls, outcome)
        else:
            self._tell_all(batch, *_report(outcome))
            self._landed()

    def _landed(self) -> None:
        self._in_flight -= 1
        if self._waiting:
            self._send_soon()
        else:
            self._is_lonely = self._was_alone and not self._in_flight
            self._idle.set()

    def _rescue(
        self, batch: list[Waiting], calls: Calls | None, fault: BaseException | None
    ) -> None:
        """Goes on with a batch that has no connection, or that failed."""
        task = asyncio.create_task(self._write(batch, calls, fault))
        self._rescues.add(task)
        task.add_done_callback(partial(self._rescued, batch))

    def _rescued(self, batch: list[Waiting], task: "asyncio.Task[None]") -> None:
        self._rescues.discard(task)
        for _, answer in batch:
            if not answer.done():  # a fault of our own; nobody may wait for ever
                answer.set_exception(task.exception() or StoreUnavailable())
        self._landed()

    async def _write(
        self, batch: list[Waiting], calls: Calls | None, fault: BaseException | None
    ) -> None:
        give_up_at = asyncio.get_running_loop().time() + GIVE_UP_AFTER
        while True:
            if isinstance(fault, psycopg.OperationalError):
                await self._disconnect(calls)
                if asyncio.get_running_loop().time() > give_up_at:
                    log.warning("%s commands refused: %s", len(batch), fault)
                    self._give_up(batch)
                    return
                await asyncio.sleep(PAUSE)
            elif fault:  # the database refuses one of them: find it
                await self._write_one_by_one(batch, fault)
                return
            try:
                calls = await self._connected()
                report = _report(await self._asked(calls, batch))
                # What a lost answer had committed is reported as a repeat now.
                ours = await self._ours(batch, report[1]) if fault and report[1] else set()
                self._tell_all(batch, report[0], report[1] - ours, *report[2:])
                return
            except psycopg.Error as again:
                fault = again

    async def _asked(self, calls: Calls, batch: list[Waiting]) -> Row:
        return await _outcome(partial(self._ask, calls, batch))

    async def _write_one_by_one(self, batch: list[Waiting], fault: BaseException) -> None:
        if len(batch) > 1:
            for waiting in batch:
                await self._write([waiting], None, None)
        elif not batch[0][1].done():
            batch[0][1].set_exception(fault)

    def _give_up(self, batch: list[Waiting]) -> None:
        refused, self._waiting = batch + self._waiting, []
        for _, answer in refused:
            if not answer.done():
                answer.set_exception(StoreUnavailable())

    def _tell_all(
        self,
        batch: list[Waiting],
        head: int,
        repeated: set[UUID],
        clashed: set[UUID],
        moved: set[UUID],
    ) -> None:
        for command, answer in batch:
            if not answer.done():
                if repeated or clashed:
                    _tell(command, answer, repeated, clashed, moved)
                else:
                    answer.set_result(None)
        if len(repeated) + len(clashed) < len(batch):
            self._on_appended(head)

    async def _ours(self, batch: list[Waiting], repeated: set[UUID]) -> set[UUID]:
        """Of the repeats, those that this very batch committed before its answer was lost."""
        async with await connected(self._dsn) as connection:
            found = await connection.execute(FIRST_EVENTS, [list(repeated)], binary=True)
            known = dict(await found.fetchall())
        first_events = [command.facts[0].event_id for command, _ in batch]
        return {known[event_id] for event_id in first_events if event_id in known}

    async def _connected(self) -> Calls:
        async with self._connecting:
            if self._calls is None:
                statements = (ALL, alone.DURABLE, alone.LOCK, alone.APPEND)
                calls = await Calls.connect(self._dsn, statements, alone.SETTINGS)
                await _outcome(partial(calls.call, [(alone.DURABLE, ())]))
                self._calls = calls
            return self._calls

    async def _disconnect(self, calls: Calls | None) -> None:
        """Of two batches in flight both lose the connection, and one of them has a new one."""
        if calls and calls is self._calls:
            self._calls = None
            await calls.close()


async def _outcome(call: Callable[[Answered], None]) -> Row:
    """Raises psycopg.Error."""
    answer: asyncio.Future[Row] = asyncio.get_running_loop().create_future()
    call(partial(_settle, answer))
    return await answer


def _settle(answer: "asyncio.Future[Row]", outcome: Row | Exception) -> None:
    if answer.done():  # nobody waits any more
        return
    if isinstance(outcome, Exception):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)


def _report(row: Row) -> tuple[int, set[UUID], set[UUID], set[UUID]]:
    """The last position, the commands that were known, those that clashed, and on what."""
    head, repeated, clashed, moved = row if len(row) > 1 else (*row, None, None, None)
    return int(head or 0), _ids(repeated), _ids(clashed), _ids(moved)


def _ids(array: bytes | None) -> set[UUID]:
    """A uuid[] as PostgreSQL writes it: {a,b}."""
    text = (array or b"{}")[1:-1].decode()
    return {UUID(item) for item in text.split(",")} if text else set()


def _tell(
    command: NewCommand,
    answer: "asyncio.Future[None]",
    repeated: set[UUID],
    clashed: set[UUID],
    moved: set[UUID],
) -> None:
    command_id = command.ctx.command_id
    if command_id in repeated:
        answer.set_exception(AlreadyDone((command_id,)))
    elif command_id in clashed:
        touched = {fact.aggregate_id for fact in command.facts}
        answer.set_exception(Clash(tuple(touched & moved)))
    else:
        answer.set_result(None)
