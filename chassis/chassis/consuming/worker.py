"""The worker of a service: Faust hands windows in, the committer commits, clocks tick beside it."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from aiokafka.errors import KafkaError
from faust.contrib.asgi import faust_app_running

from chassis.clock import Clock
from chassis.consuming import faust_app, parking, tracking
from chassis.consuming.committer import Committer
from chassis.consuming.deadlines import Deadlines
from chassis.consuming.intake import House
from chassis.consuming.parking import Timing
from chassis.consuming.reading import Reader
from chassis.consuming.subscribers import Reactions, consumed, service_actor, subscribers_of
from chassis.consuming.tracking import NOTHING, Place, Track
from chassis.errors import Invalid
from chassis.storage.postgres import PooledReads, StoreUnavailable
from chassis.telemetry.sight import Sight

log = logging.getLogger(__name__)

RETRY_EVERY = 0.25  # seconds, between two looks at what is parked or due
WATCH_EVERY = 1.0  # seconds, between two looks at the ends of the partitions
PROBE_EVERY = 0.5  # seconds, while the broker is away
STOP_WITHIN = 5.0  # seconds, for Faust, and then for what is being committed


@dataclass(eq=False)
class PartitionNotRead(Invalid):
    """This service reads the topics named here, each from partition 0 on, and no others."""

    topics: tuple[str, ...]


@dataclass(frozen=True)
class DeliveryState:
    """`lag`: facts that lie on the topics and have no effect yet, held ones among them; -1: not
    known. `parked`: after a failure; `reasons`: why the worker is not ready.
    """

    lag: int
    parked: int
    dead: int
    held: int
    next_deadline: datetime | None
    reasons: tuple[str, ...]


class Worker:
    """`run` in a task, `stop`, and `run` returns. It ends for no broker and no database.

    `on_committed` is called after each commit: read models and the store may have moved.
    `barred`: why nothing may be committed now.
    """

    def __init__(
        self,
        service: Reactions,
        *,
        dsn: str,
        bootstrap: str,
        clock: Clock,
        instance: str = "1",
        on_committed: Callable[[], None] = lambda: None,
        timing: Timing | None = None,
        time_limit: float = 10.0,
        barred: Callable[[], str | None] = lambda: None,
        sight: Sight | None = None,
    ) -> None:
        self._service, self._bootstrap, self._instance = service, bootstrap, instance
        self._topics = consumed(service)
        self.house = House(
            service_actor(service.name),
            clock.now,
            subscribers_of(service),
            timing=timing or Timing(),
            time_limit=time_limit,
            sight=sight or Sight(),
        )
        self._committed = on_committed
        self._watching, self._filling = Reader(bootstrap), Reader(bootstrap)
        self.committer = Committer(
            self.house,
            dsn,
            self._filling,
            self._topics,
            on_committed=self._on_committed,
            barred=barred,
        )
        self._deadlines = Deadlines(self.house, service.deadlines)
        self._reads = PooledReads(dsn, connections=2)
        self._reason: str | None = "the worker has not joined its group yet"
        self._app: Any = None
        self._stopping, self._woken = asyncio.Event(), asyncio.Event()

    def _on_committed(self) -> None:
        if self.committer.is_holding:
            self._woken.set()
        self._committed()

    async def open(self) -> None:
        """Returns at once; from then on it has a `state`, also while another process runs."""
        await self._reads.open()

    async def stop(self) -> None:
        """`run` returns when what is being committed has been; at most seconds later."""
        self._stopping.set()
        self._woken.set()

    async def run(self) -> None:
        """Until `stop`."""
        if not self.house.subscribers:
            self._reason = None
            await self._stopping.wait()
            return
        await self.open()
        committing = asyncio.create_task(self.committer.run())
        loops = [asyncio.create_task(each) for each in (self._tick(), self._watch())]
        try:
            while not self._stopping.is_set():
                await self._life()
        finally:
            self.committer.stop()
            await asyncio.wait([committing], timeout=STOP_WITHIN)
            for task in (committing, *loops):
                task.cancel()
            await asyncio.gather(committing, *loops, return_exceptions=True)
            await self.committer.sessions.close()
            await self.close()

    async def close(self) -> None:
        for reader in (self._watching, self._filling):
            with suppress(KafkaError, OSError, TimeoutError):
                await reader.close()
        await self._reads.close()

    async def _life(self) -> None:
        """Of one Faust app, from when the broker answers until it ends."""
        if not await self._is_broker_there():
            await self._pause(PROBE_EVERY)
            return
        names = sorted(self._topics)
        app = faust_app.build(
            self._service.name, self._bootstrap, names, self._instance, self.committer
        )
        try:
            async with faust_app_running(app, stop_timeout=STOP_WITHIN):
                self._app, self._reason = app, None
                await self._ended(app)
        except (KafkaError, OSError, TimeoutError) as failure:
            self._fail(f"Faust: {type(failure).__name__} {failure}")
        except Exception as failure:  # Faust's own faults: the next app goes on
            log.exception("Faust")
            self._fail(f"Faust: {type(failure).__name__} {failure}")
        finally:
            self._app = None
        await self._pause(PROBE_EVERY)

    async def _ended(self, app: Any) -> None:
        ended = asyncio.ensure_future(app.wait_until_stopped())
        stopping = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait([ended, stopping], return_when=asyncio.FIRST_COMPLETED)
        for each in (ended, stopping):
            each.cancel()
        if not self._stopping.is_set():
            self._fail("Faust has ended; it starts again")

    async def _is_broker_there(self) -> bool:
        try:
            for name, topic in self._topics.items():
                if await self._watching.partitions(name) != topic.partitions:
                    self._fail(f"topic {name} is missing, or has another number of partitions")
                    return False
        except (KafkaError, OSError, TimeoutError) as failure:
            self._fail(f"no broker: {type(failure).__name__} {failure}")
            return False
        return True

    def _fail(self, reason: str) -> None:
        if self._reason != reason:
            log.warning(reason)
        self._reason = reason

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _tick(self) -> None:
        """Parked facts and deadlines, whether Faust lives or not. After an outage all deadlines may
        be late at once: one batch a turn leaves room for facts and commands.
        """
        while not self._stopping.is_set():
            self._woken.clear()
            await self.committer.retry_parked()
            await self._fire_some(self.house.now())
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), RETRY_EVERY)

    async def fire_due(self, until: datetime) -> None:
        """All deadlines due by then, in order. Returns when they have fired, or after `stop`."""
        while await self._fire_some(until) and not self._stopping.is_set():
            pass

    async def _fire_some(self, until: datetime) -> int:
        """The first of those due, in one transaction. Answers how many there were to look at."""
        looked_at = 0

        async def work() -> None:
            nonlocal looked_at
            async with self.committer.sessions.transaction() as connection:
                looked_at = await self._deadlines.fire(connection, until)
            if looked_at:
                self._committed()

        await self.committer.persist(work)
        return looked_at

    async def reset_tracking(self, topic: str, partition: int | None) -> None:
        """For a topic that was made anew: it is read from its beginning. What was seen stays seen.

        `partition` None: all of them. Raises PartitionNotRead.
        """
        read = self._topics.get(topic)
        if read is None or partition not in (None, *range(read.partitions)):
            raise PartitionNotRead(tuple(sorted(self._topics)))

        async def work() -> None:
            async with self.committer.sessions.transaction() as connection:
                # An operator is told that it is done.
                await connection.execute("SET LOCAL synchronous_commit = on")
                await tracking.reset(connection, topic, partition)
                await connection.commit()

        await self.committer.persist(work)

    async def next_due(self) -> datetime | None:
        """Raises StoreUnavailable."""
        return (await self.state()).next_deadline

    async def _watch(self) -> None:
        """Finds partitions that were made anew, and facts that Faust does not hand over."""
        before: dict[Place, int] = {}
        while not self._stopping.is_set():  # a cancellation alone may be swallowed by the client
            with suppress(KafkaError, OSError, TimeoutError, psycopg.Error, StoreUnavailable):
                bounds, taken = await self._look()
                self._find_rewound(bounds, taken)
                mine = faust_app.assigned(self._app) if self._app is not None else set()
                for place in mine & bounds.keys():
                    _, end = bounds[place]
                    if taken[place] < end - 1 and before.get(place) == taken[place]:
                        await self.committer.catch_up(place, taken[place] + 1, end)
                before = taken
            await self._pause(WATCH_EVERY)

    async def _look(self) -> tuple[dict[Place, tuple[int, int]], dict[Place, int]]:
        """Beginnings and ends of all partitions, and what the slowest subscriber has taken."""
        bounds, offsets = await self._look_at_all()
        taken = {
            place: min(offsets[Track(each.name, *place)] for each in self.house.on(place.topic))
            for place in bounds
        }
        return bounds, taken

    async def _look_at_all(self) -> tuple[dict[Place, tuple[int, int]], dict[Track, int]]:
        """The same, and what each subscriber has taken."""
        async with self._reads.pool.connection() as connection:
            offsets = await tracking.offsets(connection)
        bounds = await self._watching.bounds(
            [
                Place(topic.name, number)
                for topic in self._topics.values()
                for number in range(topic.partitions)
            ]
        )
        tracks = [
            Track(each.name, *place) for place in bounds for each in self.house.on(place.topic)
        ]
        return bounds, {track: offsets.get(track, NOTHING) for track in tracks}

    async def lags(self) -> dict[tuple[str, str], int]:
        """Facts that a subscriber has not taken of a topic, by both. Raises as its reads do."""
        bounds, offsets = await self._look_at_all()
        found: Counter[tuple[str, str]] = Counter()
        for track, offset in offsets.items():
            found[track.subscriber, track.topic] += max(0, bounds[track.place][1] - 1 - offset)
        return dict(found)

    def _find_rewound(self, bounds: dict[Place, tuple[int, int]], taken: dict[Place, int]) -> None:
        for place, (first, end) in bounds.items():
            if end <= taken[place]:
                self.committer.halt(place, f"ends at {end}, but {taken[place]} was taken")
            elif taken[place] == NOTHING and first == 0:
                self.committer.stopped.pop(place, None)

    async def state(self) -> DeliveryState:
        """As it is now. Raises StoreUnavailable."""
        reasons = [self._reason, self.committer.reason, *self.committer.stopped.values()]
        try:
            bounds, taken = await self._look()
            lag = sum(max(0, bounds[place][1] - 1 - taken[place]) for place in taken)
        except (KafkaError, OSError, TimeoutError) as away:
            lag = -1
            reasons.append(f"no broker: {type(away).__name__}")
        except psycopg.Error as away:
            raise StoreUnavailable from away
        try:
            async with self._reads.pool.connection() as connection:
                waiting, dead, held = await parking.counts(connection)
                next_due = await self._deadlines.next_due(connection)
                failing = await self._deadlines.failing(connection)
        except psycopg.Error as away:
            raise StoreUnavailable from away
        return DeliveryState(
            lag=lag + held if lag >= 0 else lag,
            parked=waiting + failing,
            dead=dead,
            held=held,
            next_deadline=next_due,
            reasons=tuple(dict.fromkeys(reason for reason in reasons if reason)),
        )
