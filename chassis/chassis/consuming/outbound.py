"""Errands: work in the outside world, done at least once, its outcome recorded once in effect.

A worker holds an errand while it is at it, so that no other takes it too. The outcome is recorded
and the errand removed in one transaction; a worker that dies before that does the errand again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, LiteralString, NamedTuple
from uuid import UUID, uuid5

import psycopg
from psycopg import AsyncConnection

from chassis.consuming.intake import is_passing
from chassis.consuming.sessions import Sessions
from chassis.consuming.subscribers import Reactions, service_actor
from chassis.context import Actor, Context
from chassis.delivery import Errand, OutboundRule, Outside, TryLater
from chassis.errors import Unavailable
from chassis.storage.rounds import Connection
from chassis.storage.window import AlreadyDone, Clash, Window, known_commands, lock_append

log = logging.getLogger(__name__)

AT_ONCE = 16
TIME_LIMIT = 60.0  # seconds for one errand; it is held for twice as long
RETRY_AFTER = (1.0, 5.0, 30.0, 120.0, 600.0, 1800.0)  # seconds; the last one again and again
ALL_WAIT = (1.0, 2.0, 5.0, 10.0, 30.0)  # seconds, while none of a rule can be done
LOOK_EVERY = 1.0  # seconds, when nobody woke it
BREATH = 0.1  # seconds between two looks: a commit often follows another
STOP_WITHIN = 4.0  # seconds; what is not done by then is done after the next start

HOLD: LiteralString = f"""
UPDATE errands SET attempts = attempts + 1, held_by = %(me)s,
    held_until = now() + make_interval(secs => {2 * TIME_LIMIT})
WHERE (rule, aggregate_id) IN (
    SELECT rule, aggregate_id FROM errands
    WHERE rule = %(rule)s AND next_try_at <= now() AND coalesce(held_until, now()) <= now()
    ORDER BY next_try_at LIMIT %(most)s FOR UPDATE SKIP LOCKED)
RETURNING aggregate_id, version, attempts, now() - asked_at, correlation_id, causation_id"""  # noqa: S608 - constants
# With the pause of one that was tried in vain: it may be what ended the worker.
LET_GO: LiteralString = """
UPDATE errands SET held_until = NULL, next_try_at = now() + make_interval(
    secs => (%(pauses)s::float8[])[least(attempts, cardinality(%(pauses)s::float8[]))])
WHERE rule = %(rule)s AND held_by = %(me)s AND held_until IS NOT NULL"""
POSTPONE: LiteralString = """
UPDATE errands SET held_until = NULL, reason = %(reason)s,
    next_try_at = now() + make_interval(secs => %(pause)s::float8)
WHERE rule = %(rule)s AND aggregate_id = %(id)s AND version = %(version)s"""
# Of its version: meanwhile it may have been ended, and asked for anew.
END: LiteralString = """
DELETE FROM errands
WHERE rule = %(rule)s AND aggregate_id = %(id)s AND version = %(version)s"""
ALL: LiteralString = "SELECT rule, aggregate_id, version FROM errands"
WAITING: LiteralString = """
SELECT rule, count(*), count(reason), max(reason) FROM errands WHERE rule = ANY (%s)
GROUP BY rule ORDER BY rule"""


@dataclass(frozen=True)
class Household:
    """What the errands of a worker share. `instance`: its stable name, which holds them; `barred`:
    why no outcome may be recorded now.
    """

    dsn: str
    outside: Outside
    actor: Actor
    now: Callable[[], datetime]
    instance: str
    barred: Callable[[], str | None]


def command_of(rule: str, aggregate_id: UUID, version: int) -> UUID:
    """The id of the command that records an errand's outcome, however often it is done."""
    return uuid5(uuid5(aggregate_id, rule), str(version))


@dataclass(frozen=True)
class Held:
    errand: Errand
    correlation_id: UUID
    causation_id: UUID

    def context(self, rule: str, actor: Actor, now: datetime) -> Context:
        """Its command id is the same however often the errand is done."""
        asked = command_of(rule, self.errand.aggregate_id, self.errand.version)
        return Context(actor, now, asked, self.correlation_id, self.causation_id)


class OfRule(NamedTuple):
    """Errands of a rule that wait; of them those that were tried in vain, and a reason of these."""

    rule: str
    waiting: int
    in_vain: int
    reason: str | None


@dataclass(frozen=True)
class Waiting:
    rules: tuple[OfRule, ...]

    @property
    def under_way(self) -> int:
        return sum(each.waiting - each.in_vain for each in self.rules)

    @property
    def reasons(self) -> list[str]:
        return [f"{it.rule}: {it.in_vain} wait: {it.reason}" for it in self.rules if it.in_vain]


@dataclass(frozen=True)
class Done:
    """An errand that was done, and is recorded soon."""

    held: Held
    outcome: Any
    recorded: asyncio.Future[None]


class Outbound:
    """The errands of a service. `run` in a task, `stop`, and `run` returns; no outage ends it."""

    def __init__(
        self,
        service: Reactions,
        dsn: str,
        outside: Outside,
        now: Callable[[], datetime],
        instance: str,
        *,
        barred: Callable[[], str | None] = lambda: None,
    ) -> None:
        house = Household(dsn, outside, service_actor(service.name), now, instance, barred)
        self._stopping = asyncio.Event()
        self._runs = [Run(rule, house) for rule in service.outbound]

    def wake(self) -> None:
        """Facts may have asked for errands."""
        for each in self._runs:
            each.woken.set()

    def stop(self) -> None:
        self._stopping.set()
        for each in self._runs:
            each.stopping.set()
            each.woken.set()

    async def run(self) -> None:
        """Until `stop`, though there be no rule."""
        await asyncio.gather(self._stopping.wait(), *(each.run() for each in self._runs))

    async def waiting(self, connection: AsyncConnection[Any]) -> Waiting:
        found = await connection.execute(WAITING, ([each.rule.key for each in self._runs],))
        return Waiting(tuple(OfRule(*row) for row in await found.fetchall()))


class Run:
    """The errands of one rule, a few at once."""

    def __init__(self, rule: OutboundRule, house: Household) -> None:
        self.rule, self.stopping, self.woken = rule, asyncio.Event(), asyncio.Event()
        self._house, self._me = house, {"rule": rule.key, "me": house.instance}
        self._sessions, self._alone = Sessions(house.dsn), asyncio.Lock()
        self._done: list[Done] = []
        self._recording = asyncio.Lock()
        self._is_mine_free = False
        self._failed = 0  # times in a row that none could be done
        self._said: str | None = None

    async def run(self) -> None:
        """Until stopped."""
        try:
            while not self.stopping.is_set():
                self.woken.clear()
                try:
                    await self._work_off()
                except psycopg.Error as away:
                    self._say(f"{type(away).__name__} {away}")
                    await self._sessions.close()
                await self._rest()
        finally:
            await self._sessions.close()

    async def _work_off(self) -> None:
        """Until nothing is due, or none can be done."""
        if self._house.barred():
            return
        if not self._is_mine_free:  # held by an earlier life of this worker
            await self._execute(LET_GO, self._me | {"pauses": list(RETRY_AFTER)})
            self._is_mine_free = True
        while not self.stopping.is_set():
            most = 1 if self._failed else AT_ONCE
            rows = await self._execute(HOLD, self._me | {"most": most})
            held = [Held(Errand(*row[:4]), *row[4:]) for row in rows]
            if not held:
                return
            if await self._do(held):
                self._failed = 0
            else:
                self._failed += 1
                return

    async def _do(self, held: list[Held]) -> bool:
        """Whether others may follow. What takes too long while stopping is given up, still held."""
        doing = [asyncio.create_task(self._do_one(each)) for each in held]
        stopping = asyncio.create_task(self.stopping.wait())
        all_done = asyncio.gather(*doing, return_exceptions=True)
        either: set[asyncio.Future[Any]] = {all_done, stopping}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait(doing, timeout=STOP_WITHIN)
        finally:
            for each in (*doing, stopping):
                each.cancel()
        return all(may_follow is True for may_follow in await all_done)

    async def _do_one(self, held: Held) -> bool:
        try:
            async with asyncio.timeout(TIME_LIMIT):
                outcome = await self.rule.run(self._house.outside, held.errand)
            await self._record(held, outcome)
            return True
        except TryLater as later:
            why = later
        except TimeoutError:
            why = TryLater(f"it took longer than {TIME_LIMIT:.0f} s")
        except Unavailable as away:
            why = TryLater(type(away).__name__, concerns_all=True)
        except Exception as fault:
            log.exception("%s of %s failed", self.rule.key, held.errand.aggregate_id)
            why = TryLater(type(fault).__name__)
        await self._postpone(held.errand, why)
        return not why.concerns_all

    async def _record(self, held: Held, outcome: Any) -> None:
        """Returns once it is durable. All that wait meanwhile are recorded together."""
        mine = Done(held, outcome, asyncio.get_running_loop().create_future())
        self._done.append(mine)
        async with self._recording:
            if not mine.recorded.done():
                batch, self._done = self._done, []
                await self._record_all(batch)
        await mine.recorded

    async def _record_all(self, batch: list[Done]) -> None:
        try:
            await self._record_together(batch)
        except Exception as fault:  # noqa: BLE001 - it is told to who waits for it
            if len(batch) == 1:
                batch[0].recorded.set_exception(fault)
                return
            for each in batch:
                await self._record_all([each])
        else:
            for each in batch:
                each.recorded.set_result(None)

    async def _record_together(self, batch: list[Done]) -> None:
        """In one transaction with the end of the errands: never one without the other."""
        try:
            await self._persist(partial(self._record_on, batch))
        except AlreadyDone:  # another worker thought that this one was dead
            if len(batch) > 1:
                raise
            await self._persist(partial(self._end, batch[0].held.errand))
        except Clash:
            await self._persist(partial(self._record_on, batch, is_locked=True))

    async def _record_on(
        self, batch: list[Done], connection: Connection, *, is_locked: bool = False
    ) -> None:
        if is_locked:
            await lock_append(connection)
        window = Window.on(connection)
        for each in batch:
            ctx = each.held.context(self.rule.key, self._house.actor, self._house.now())
            await self.rule.then(window, ctx, each.held.errand, each.outcome)
            connection.later(END, self._row(each.held.errand))
        await window.append_and_commit(self._house.now())

    async def _end(self, errand: Errand, connection: Connection) -> None:
        connection.later(END, self._row(errand))
        await connection.commit()

    async def _postpone(self, errand: Errand, why: TryLater) -> None:
        pause = nth(RETRY_AFTER, errand.attempt)
        if why.concerns_all:
            pause = nth(ALL_WAIT, self._failed + 1)
        self._say(why.reason)

        async def write(connection: Connection) -> None:
            said = {"reason": why.reason[:500], "pause": pause}
            connection.later(POSTPONE, self._row(errand) | said)
            await connection.commit()

        await self._persist(write)

    def _row(self, errand: Errand) -> dict[str, Any]:
        return {"rule": self.rule.key, "id": errand.aggregate_id, "version": errand.version}

    async def _execute(self, statement: LiteralString, values: Any) -> list[Any]:
        async with self._alone, self._sessions.transaction() as connection:
            done = connection.later(statement, values)
            await connection.commit()
        return done.rows

    async def _persist(self, work: Callable[[Connection], Awaitable[None]]) -> None:
        """Again after each outage of the database: what was done outside is not done twice."""
        while True:
            try:
                if not self._house.barred():
                    async with self._alone, self._sessions.transaction() as connection:
                        return await work(connection)
            except psycopg.Error as away:
                if not is_passing(away):
                    raise
                self._say(f"{type(away).__name__} {away}")
            await asyncio.sleep(LOOK_EVERY)

    async def _rest(self) -> None:
        if self._failed:
            pause = nth(ALL_WAIT, self._failed)
            with suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), pause)
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(self.woken.wait(), LOOK_EVERY)
        if not self.stopping.is_set():
            await asyncio.sleep(BREATH)

    def _say(self, reason: str) -> None:
        """Once, however often it is tried."""
        if self._said != reason:
            log.warning("%s: %s", self.rule.key, reason)
        self._said = reason


async def end_done(connection: Connection) -> None:
    """After a restore: what a refilled table asks for, though its outcome is recorded, ends."""
    asked = (await connection.now(ALL)).rows
    known = await known_commands(connection, [command_of(*row) for row in asked])
    for rule, aggregate_id, version in asked:
        if command_of(rule, aggregate_id, version) in known:
            connection.later(END, {"rule": rule, "id": aggregate_id, "version": version})
    await connection.round()


def nth(pauses: tuple[float, ...], times: int) -> float:
    """The last one again and again."""
    return pauses[min(times, len(pauses)) - 1]
