"""The one committer of a worker: all that waits, of all topics, one window after another."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import psycopg
from aiokafka.errors import KafkaError

from chassis.consuming import tracking
from chassis.consuming.intake import House
from chassis.consuming.reading import Reader
from chassis.consuming.records import Record
from chassis.consuming.retries import Retries
from chassis.consuming.sessions import Sessions
from chassis.consuming.tracking import Place
from chassis.consuming.windows import MOST_RECORDS, Hole, Rewound, Windows
from prm_contracts.facts import Topic

log = logging.getLogger(__name__)

# Seconds from the beginning of a window to that of the next: what comes meanwhile shares it. After
# a longer rest a fact waits for nobody.
PACE = 0.02
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0  # seconds, after a failure that passes


class Committer:
    """`stopped`: partitions that nobody takes records from, and why; `reason`: why nothing is
    committed now, if so.
    """

    def __init__(
        self,
        house: House,
        dsn: str,
        reader: Reader,
        topics: dict[str, Topic[Any]],
        *,
        on_committed: Callable[[], None] = lambda: None,
        barred: Callable[[], str | None] = lambda: None,
    ) -> None:
        self.stopped: dict[Place, str] = {}
        self.reason: str | None = None
        self.sessions = Sessions(dsn)
        self._holes = house.sight.metrics.holes
        self._windows = Windows(house, self.sessions, topics)
        self._retries = Retries(house, self.sessions)
        self._reader, self._on_committed, self._barred = reader, on_committed, barred
        self._waiting: list[tuple[Sequence[Record], asyncio.Future[None]]] = []
        self._arrived = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._is_stopping = self._knows_reoffered = False
        self._house = house
        self._next_at = 0.0  # by the loop's clock

    async def gather(self) -> None:
        """Returns when the next window may begin."""
        await asyncio.sleep(self._next_at - asyncio.get_running_loop().time())

    async def commit(self, records: Sequence[Record]) -> None:
        """Returns once the effect of all is durable; never raises but for its cancellation."""
        committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((records, committed))
        self._arrived.set()
        await committed

    async def run(self) -> None:
        """Until `stop`."""
        while not self._is_stopping:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting and not self._is_stopping:
                self._next_at = asyncio.get_running_loop().time() + PACE
                batch = self._next_batch()
                await self.settle([record for records, _ in batch for record in records])
                if not self._is_stopping:
                    for _, committed in batch:
                        if not committed.done():
                            committed.set_result(None)
        with suppress(psycopg.Error):
            await self._windows.rest(at_once=True)

    def _next_batch(self) -> list[tuple[Sequence[Record], asyncio.Future[None]]]:
        count = size = 0
        for records, _ in self._waiting:
            if count and size + len(records) > MOST_RECORDS:
                break
            count, size = count + 1, size + len(records)
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch

    def stop(self) -> None:
        """The transaction that is open ends; nothing else begins."""
        self._is_stopping = True
        self._arrived.set()

    async def settle(self, records: Sequence[Record]) -> None:
        """Returns once their effect is committed, or after `stop`."""

        async def work() -> None:
            await self._filled(records)
            self._on_committed()

        await self.persist(work)

    async def catch_up(self, place: Place, start: int, stop: int) -> None:
        """What nobody handed over, though it is there."""

        async def work() -> None:
            await self._fill(Hole(place, start, stop))
            self._on_committed()

        await self.persist(work)

    async def retry_parked(self) -> None:
        """The facts whose time has come, and what waits behind them."""

        async def work() -> None:
            if await self._retries.retry_due():
                self._on_committed()
            await self._windows.rest()

        await self.persist(work)

    @property
    def is_holding(self) -> bool:
        """Whether a fact waited, at the last look, for what a commit may bring."""
        return self._retries.is_holding

    async def persist(self, work: Callable[[], Awaitable[None]]) -> None:
        """Runs it alone, and again after each failure that passes by itself."""
        pause = FIRST_PAUSE
        async with self._one_at_a_time:
            while not self._is_stopping:
                if barred := self._barred():
                    self.reason = barred
                    await asyncio.sleep(FIRST_PAUSE)
                    continue
                try:
                    await self._know_reoffered()
                    await work()
                    self.reason = None
                    return
                except (psycopg.Error, KafkaError, OSError, TimeoutError) as failure:
                    await self._report(f"delivery: {type(failure).__name__} {failure}")
                except Exception as fault:  # a bug of this module stops it, and is seen
                    log.exception("delivery")
                    await self._report(f"delivery: {type(fault).__name__} {fault}")
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    async def _know_reoffered(self) -> None:
        if not self._knows_reoffered:
            found = await tracking.reoffered(await self.sessions.notes())
            self._house.reoffered.update(found)
            self._knows_reoffered = True

    async def _report(self, reason: str) -> None:
        if self.reason != reason:
            log.warning(reason)
        self.reason = reason
        await self.sessions.close()

    async def _filled(self, records: Sequence[Record]) -> None:
        while True:
            try:
                records = [
                    it for it in records if Place(it.topic, it.partition) not in self.stopped
                ]
                if records:
                    await self._windows.settle(records)
                return
            except Hole as hole:
                await self._fill(hole)
            except Rewound as rewound:
                self.halt(rewound.place, "it brings new facts under offsets that were taken")

    def halt(self, place: Place, why: str) -> None:
        """Its records are passed over: once it is set right they are read again."""
        if place not in self.stopped:
            log.error("%s/%s stopped: %s; see `prm lag reset`", *place, why)
        self.stopped[place] = f"{place.topic}/{place.partition}: {why}; see `prm lag reset`"

    async def _fill(self, hole: Hole) -> None:
        self._holes.inc()
        at = hole.start
        while at < hole.stop and not self._is_stopping and hole.place not in self.stopped:
            records, after = await self._reader.read(hole.place, at, hole.stop, MOST_RECORDS)
            if after == at:
                raise TimeoutError(f"no records of {hole.place} at {at}")
            if not records or records[0].offset > at:
                first, _ = (await self._reader.bounds([hole.place]))[hole.place]
                if first > at:
                    self.halt(hole.place, f"offsets from {at} on are gone")
                    return
            log.info("%s/%s: reading %s to %s again", *hole.place, at, after - 1)
            for start, run in _runs(records):
                await self._pass_over(hole.place, at, start)
                await self._filled(run)
                at = run[-1].offset + 1
            await self._pass_over(hole.place, at, after)
            at = after

    async def _pass_over(self, place: Place, start: int, stop: int) -> None:
        """Offsets under which there is nothing to take."""
        if start < stop:
            async with self.sessions.transaction() as connection:
                await tracking.pass_over(connection, place, start, stop)
                await connection.commit()


def _runs(records: Sequence[Record]) -> list[tuple[int, list[Record]]]:
    """Those without a gap between them, each with the offset of its first one."""
    runs: list[tuple[int, list[Record]]] = []
    for record in records:
        if runs and runs[-1][1][-1].offset + 1 == record.offset:
            runs[-1][1].append(record)
        else:
            runs.append((record.offset, [record]))
    return runs
