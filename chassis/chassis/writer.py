"""The one writer of a process: commands that wait at the same time are appended together."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg import AsyncConnection

from chassis.new_facts import APPEND, NewCommand, append_arguments
from chassis.postgres import StoreUnavailable, connected
from chassis.window import AlreadyDone, Clash

log = logging.getLogger(__name__)

LARGEST_BATCH = 256  # commands
GIVE_UP_AFTER = 3.0  # seconds without a database, until those who wait are told
ANSWER_WITHIN = 8.0  # seconds for one append; a server that hangs is left
PAUSE = 0.1  # seconds between attempts to connect

Waiting = tuple[NewCommand, "asyncio.Future[None]"]


class Writer:
    """One connection, one statement and one fsync a batch; the next batch gathers meanwhile.

    `on_appended` is called after each commit that appended, with the store's last position.
    """

    def __init__(
        self, dsn: str, now: Callable[[], datetime], on_appended: Callable[[int], None]
    ) -> None:
        self._dsn = dsn
        self._now = now
        self._on_appended = on_appended
        self._connection: AsyncConnection[Any] | None = None
        self._waiting: list[Waiting] = []
        self._writing: asyncio.Task[None] | None = None

    async def append(self, command: NewCommand) -> None:
        """Returns once durable. Raises Clash, AlreadyDone, StoreUnavailable, psycopg.Error."""
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, answer))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())
        await answer

    async def close(self) -> None:
        """Waits for what was asked, then disconnects."""
        if self._writing:
            await self._writing
        await self._disconnect()

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = (
                    self._waiting[:LARGEST_BATCH],
                    self._waiting[LARGEST_BATCH:],
                )
                await self._write(batch)
                # Whoever was answered may ask again before the next batch closes.
                await asyncio.sleep(0)
        finally:
            self._writing = None

    async def _write(self, batch: list[Waiting]) -> None:
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + GIVE_UP_AFTER
        is_resent = False
        while True:
            try:
                await self._append(batch, is_resent)
                return
            except (psycopg.OperationalError, TimeoutError) as lost:
                log.warning("append: %s", lost)
                await self._disconnect()
                is_resent = True  # it may have been committed: `append` looks the commands up
                if loop.time() > give_up_at:
                    self._give_up(batch)
                    return
                await asyncio.sleep(PAUSE)
            except Exception as fault:  # noqa: BLE001  the database refuses one of them: find it
                await self._write_one_by_one(batch, fault)
                return

    async def _write_one_by_one(self, batch: list[Waiting], fault: Exception) -> None:
        if len(batch) > 1:
            for waiting in batch:
                await self._write([waiting])
        elif not batch[0][1].done():
            batch[0][1].set_exception(fault)

    def _give_up(self, batch: list[Waiting]) -> None:
        refused, self._waiting = batch + self._waiting, []
        for _, answer in refused:
            if not answer.done():
                answer.set_exception(StoreUnavailable())

    async def _append(self, batch: list[Waiting], is_resent: bool) -> None:
        commands = [command for command, _ in batch]
        values = append_arguments(commands, self._now(), all_or_none=False)
        async with asyncio.timeout(ANSWER_WITHIN):
            connection = await self._connected()
            found = await connection.execute(APPEND, values, prepare=True, binary=True)
            head, repeated, clashed, moved = (await found.fetchall())[0]
            ours = await self._ours(commands, repeated) if is_resent and repeated else set()
        if len(repeated) + len(clashed) < len(batch):
            self._on_appended(head)
        for command, answer in batch:
            if not answer.done():
                _tell(command, answer, set(repeated) - ours, set(clashed), set(moved))

    async def _ours(self, commands: list[NewCommand], repeated: list[UUID]) -> set[UUID]:
        """Of the repeats, those that this very batch committed before its answer was lost."""
        connection = await self._connected()
        found = await connection.execute(
            "SELECT event_id, command_id FROM first_outcomes(%s)", [repeated], binary=True
        )
        known = dict(await found.fetchall())
        first_events = [command.facts[0].event_id for command in commands]
        return {known[event_id] for event_id in first_events if event_id in known}

    async def _connected(self) -> AsyncConnection[Any]:
        if self._connection is None:
            self._connection = await connected(self._dsn)
        return self._connection

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            await connection.close()


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
