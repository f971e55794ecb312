"""One thread and one seed: who goes on next, who dies, what is lost, and what time it is.

Every call of a port awaits `Scheduler.point`. When all wait, the event loop asks its selector for
what happens next, and that is the scheduler: there are no sockets, and no clock but its own.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import Any, Protocol

CURRENT: ContextVar["Process"] = ContextVar("process")
MOST_POINTS = 20_000  # of one run: one that has no end is a finding
FROZEN_FOR = (10, 150)  # points
STALLED = "append("  # calls between a decision and its effect
STALLED_FOR = (0.1, 8.0)  # seconds: others go round meanwhile, and see nothing of it
PACES = (1.0, 1.0, 1.0, 0.1, 0.02)  # of processes: a slow one lets many things happen in between


class Fate(Enum):
    """What becomes of one call: it may not reach its port, or its answer may be lost."""

    PASS = "pass"
    LOST = "lost"
    UNANSWERED = "unanswered"
    CRASH = "crash"
    FREEZE = "freeze"


class Stuck(Exception):
    """Everybody waits, and nothing will ever happen."""


class Endless(Exception):
    """It goes on and on."""


class Plan(Protocol):
    def fate(self, number: int, process: "Process", port: str) -> Fate:
        """Of the call with this number in the run."""

    def stall(self, process: "Process", port: str) -> float:
        """Seconds for which a call is under way before it reaches its port."""


class Calm:
    def fate(self, number: int, process: "Process", port: str) -> Fate:
        return Fate.PASS

    def stall(self, process: "Process", port: str) -> float:
        return 0.0


@dataclass
class CrashAt(Calm):
    """The process whose calls have these numbers dies before them."""

    numbers: frozenset[int]

    def fate(self, number: int, process: "Process", port: str) -> Fate:
        return Fate.CRASH if number in self.numbers and process.may_die else Fate.PASS


FAULTS = (Fate.CRASH, Fate.CRASH, Fate.CRASH, Fate.LOST, Fate.UNANSWERED, Fate.FREEZE)


class Weather:
    """Faults at random, as often as the seed says; none once its budget is spent."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._rate = rng.choice((0.004, 0.01, 0.02, 0.04))
        self._stalls = rng.choice((0.0, 0.05, 0.1, 0.3))
        self._left = rng.randint(1, 12)

    def fate(self, number: int, process: "Process", port: str) -> Fate:
        if not self._left or not process.may_die or self._rng.random() >= self._rate:
            return Fate.PASS
        self._left -= 1
        return self._rng.choice(FAULTS)

    def stall(self, process: "Process", port: str) -> float:
        may_stall = process.may_die and STALLED in port
        if not may_stall or self._rng.random() >= self._stalls:
            return 0.0
        return self._rng.uniform(*STALLED_FOR)


@dataclass(eq=False)
class Process:
    """What dies together. `begin` makes it anew, from what lies in database and broker alone."""

    name: str
    begin: Callable[[], Awaitable[None]] | None = None
    may_die: bool = True
    is_alive: bool = False
    frozen_until: int = 0
    pace: float = 1.0
    tasks: dict[asyncio.Task[Any], None] = field(default_factory=dict)  # in their order
    on_death: list[Callable[[], None]] = field(default_factory=list)
    on_frozen: list[Callable[[], None]] = field(default_factory=list)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        token = CURRENT.set(self)
        _ = asyncio.get_running_loop().create_task(work)
        CURRENT.reset(token)

    def forget(self, on_death: Callable[[], None], on_frozen: Callable[[], None]) -> None:
        """They are told no more."""
        if on_death in self.on_death:
            self.on_death.remove(on_death)
            self.on_frozen.remove(on_frozen)

    def kill(self) -> None:
        self.is_alive = False
        self.frozen_until = 0
        for told in list(self.on_death):
            told()
        for task in list(self.tasks):
            task.cancel()
        self.tasks, self.on_death, self.on_frozen = {}, [], []


@dataclass(eq=False)
class Waiting:
    process: Process
    port: str
    answer: "asyncio.Future[Fate]"
    not_before: float = 0.0  # by the scheduler's clock


class Scheduler:
    """Of one run. `is_quiet`: asked when all rest, true ends it; `trace`: all that happened."""

    def __init__(self, rng: Random, plan: Plan, is_quiet: Callable[[], bool]) -> None:
        self._rng, self._plan, self._is_quiet = rng, plan, is_quiet
        self._waiting: list[Waiting] = []
        self._god = Process("scheduler", may_die=False, is_alive=True)
        self.loop = Loop(self)
        self.points = 0
        self.now = 0.0
        self.trace: list[str] = []
        self.bug: Exception | None = None
        self._is_closing = False

    def run(self, begin: Coroutine[Any, Any, None]) -> None:
        """Until quiet. Raises Stuck, Endless, and bugs of the model."""
        asyncio.set_event_loop(self.loop)
        token = CURRENT.set(self._god)
        try:
            _ = self.loop.create_task(begin)
            self.loop.run_forever()
        finally:
            CURRENT.reset(token)
        if self.bug:
            raise self.bug

    def close(self) -> None:
        """What still runs ends, and nothing that it does on the way has an effect."""
        tasks = asyncio.all_tasks(self.loop)
        for process in {process for task in tasks if (process := self.loop.owners.get(task))}:
            process.kill()
        for task in tasks:
            task.cancel()
        self._is_closing = True
        if tasks:
            self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self.loop.close()
        asyncio.set_event_loop(None)

    async def point(self, port: str) -> Fate:
        """A call of a port, by the process that runs. PASS, LOST or UNANSWERED."""
        process = CURRENT.get()
        if not process.is_alive:
            raise asyncio.CancelledError
        not_before = self.now + self._plan.stall(process, port)
        waiting = Waiting(process, port, self.loop.create_future(), not_before)
        self._waiting.append(waiting)
        try:
            return await waiting.answer
        finally:
            if waiting in self._waiting:
                self._waiting.remove(waiting)

    def start(self, process: Process) -> None:
        """Soon; anything may happen before."""
        self._god.spawn(self._begin(process))

    async def _begin(self, process: Process) -> None:
        await self.point(f"start {process.name}")
        process.is_alive = True
        process.pace = self._rng.choice(PACES)
        assert process.begin
        process.spawn(self._run(process.begin))

    async def _run(self, begin: Callable[[], Awaitable[None]]) -> None:
        await begin()

    # What the event loop asks of its selector.

    def select(self, timeout: float | None) -> list[Any]:
        if self._is_closing:
            self.now += timeout or 0
            return []
        if self.bug:
            self.loop.stop()
        if timeout == 0:
            return []
        stalled = [each.not_before for each in self._waiting if each.not_before > self.now]
        waiting = [each for each in self._waiting if each.not_before <= self.now]
        can_go_on = [each for each in waiting if each.process.frozen_until <= self.points]
        if can_go_on and not (timeout and self._rng.random() < 0.02):
            paces = [each.process.pace for each in can_go_on]
            self._let_go_on(self._rng.choices(can_go_on, paces)[0])
        elif waiting and not can_go_on:
            self.points = min(each.process.frozen_until for each in waiting)
        elif stalled:
            self.now = min(stalled if timeout is None else (*stalled, self.now + timeout))
        elif self._is_quiet():
            self.loop.stop()
        elif timeout is None:
            raise Stuck
        else:
            self.now += timeout
        return []

    def _let_go_on(self, waiting: Waiting) -> None:
        self.points += 1
        if self.points > MOST_POINTS:
            raise Endless
        process = waiting.process
        fate = self._plan.fate(self.points, process, waiting.port)
        self.trace.append(f"{self.points} {process.name}: {waiting.port}, {fate.value}")
        if fate is Fate.CRASH:
            process.kill()
            self.start(process)
        elif fate is Fate.FREEZE:
            process.frozen_until = self.points + self._rng.randint(*FROZEN_FOR)
            for told in list(process.on_frozen):
                if self._rng.random() < 0.7:  # long enough for this one to give it up
                    told()
        else:
            self._waiting.remove(waiting)
            waiting.answer.set_result(fate)


class Loop(asyncio.BaseEventLoop):
    """Its time is the scheduler's. Knows to which process each task belongs."""

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__()
        self._selector = scheduler
        self._scheduler = scheduler
        self.owners: dict[asyncio.Task[Any], Process] = {}
        self.set_task_factory(self._new_task)

    def time(self) -> float:
        return self._scheduler.now

    def _new_task(
        self, loop: asyncio.AbstractEventLoop, work: Any, **more: Any
    ) -> "asyncio.Task[Any]":
        task = asyncio.Task(work, loop=loop, **more)
        process = CURRENT.get()
        process.tasks[task] = None
        self.owners[task] = process
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: "asyncio.Task[Any]") -> None:
        self.owners.pop(task).tasks.pop(task, None)
        if not task.cancelled() and (fault := task.exception()):
            self._scheduler.trace.append(f"a task failed: {fault!r}")
            logging.getLogger(__name__).debug("a task failed", exc_info=fault)

    def _process_events(self, events: list[Any]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody calls from another thread."""
