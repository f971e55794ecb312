"""People: they give commands, ask again until they are answered, and keep every answer."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import UUID, uuid5

from chassis.context import Actor, Context
from chassis.errors import Refusal, Unavailable
from chassis.storage.event_store import CommandStillRunning
from chassis.store import Command, EventStore, P, Saved

from .platform import Platform
from .scheduler import Process

REPEATS = 0.1  # of the commands are sent twice at once
PAUSE = 0.2  # seconds, before one asks again


class Gone(Exception):
    """The process that was asked has died."""


@dataclass(frozen=True)
class Told:
    """What somebody was answered. `saved` None: it was refused; `was_recorded`: before it was
    asked for the last time.
    """

    service: str
    command: str
    command_id: UUID
    saved: Saved | None
    refusal: str = ""
    was_recorded: bool = False


@dataclass
class People:
    platform: Platform
    rng: Random
    told: list[Told] = field(default_factory=list)
    busy: int = 0
    asked: int = 0
    process: Process = field(
        default_factory=lambda: Process("people", may_die=False, is_alive=True)
    )

    def begin(self, *stories: Coroutine[Any, Any, None]) -> None:
        for story in stories:
            self.busy += 1
            self.process.spawn(self._lived(story))

    async def _lived(self, story: Coroutine[Any, Any, None]) -> None:
        await story
        self.busy -= 1

    async def tell(
        self,
        service: str,
        actor: Actor,
        key: str,
        command: Command[P],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Saved | None:
        """The answer, however often it takes to get one. None: refused."""
        command_id = uuid5(actor.id, key)

        def context(now: Any) -> Context:
            return Context(actor, now, command_id, command_id, request_hash=key)

        async def run(store: EventStore, now: Any) -> Saved:
            return await store.execute(command, context(now), *args, **kwargs)

        name = getattr(command, "__name__", "command")
        asking = [self._ask(service, command_id, run)]
        if self.rng.random() < REPEATS:
            asking.append(self._ask(service, command_id, run))
        for answer, was_recorded in await asyncio.gather(*asking):
            saved = answer if isinstance(answer, Saved) else None
            refusal = "" if saved else type(answer).__name__
            self.told.append(Told(service, name, command_id, saved, refusal, was_recorded))
        return self.told[-1].saved

    async def see(self, is_so: Callable[[], bool]) -> None:
        """Looks until it is so."""
        while not is_so():
            await asyncio.sleep(PAUSE)

    def anew(self, key: str) -> str:
        """Another command each time."""
        self.asked += 1
        return f"{key} {self.asked}"

    async def _ask(self, service: str, command_id: UUID, run: Any) -> tuple[Saved | Refusal, bool]:
        database = self.platform.durable.databases[service]
        while True:
            was_recorded = command_id in database.commands
            try:
                return await self._once(service, run), was_recorded
            except (Gone, Unavailable, CommandStillRunning):
                await asyncio.sleep(PAUSE)
            except Refusal as refused:
                return refused, was_recorded

    async def _once(self, service: str, run: Any) -> Saved:
        platform, process = self.platform, self._process_of(service)
        await platform.scheduler.point(f"ask {process.name}")
        answer: asyncio.Future[Saved] = asyncio.get_running_loop().create_future()
        store = platform.events.get(process.name)
        if not process.is_alive or store is None:
            raise Gone

        def died() -> None:
            if not answer.done():
                answer.set_exception(Gone())

        async def handle() -> None:
            outcome: Saved | BaseException
            try:
                outcome = await run(store, platform.now())
            except Exception as refused:  # noqa: BLE001 - told to who asked
                outcome = refused
            await platform.scheduler.point("answer")
            if isinstance(outcome, Saved):
                answer.set_result(outcome)
            else:
                answer.set_exception(outcome)

        process.on_death.append(died)
        process.spawn(handle())
        return await answer

    def _process_of(self, service: str) -> Process:
        return next(it for it in self.platform.processes if it.name == f"{service} api")
