"""Commands of one process that want the same aggregate wait for each other instead of clashing."""

import asyncio
from collections.abc import Iterable
from uuid import UUID


class Turns:
    """The queue of each aggregate that is wanted now."""

    def __init__(self) -> None:
        self._queues: dict[UUID, tuple[asyncio.Lock, set[object]]] = {}

    async def take(self, id: UUID, who: object) -> None:
        lock, wanted_by = self._queues.setdefault(id, (asyncio.Lock(), set()))
        wanted_by.add(who)
        try:
            await lock.acquire()
        except asyncio.CancelledError:
            self._leave(id, who)
            raise

    def give_back(self, id: UUID, who: object) -> None:
        self._queues[id][0].release()
        self._leave(id, who)

    def _leave(self, id: UUID, who: object) -> None:
        wanted_by = self._queues[id][1]
        wanted_by.discard(who)
        if not wanted_by:
            del self._queues[id]


class Turn:
    """What one command holds. No two can wait for each other in a circle:

    at its first try it holds nothing while it waits, for it queues for the first aggregate that it
    loads and for no other; before each further try it gives all back and takes what the last try
    touched in the order of the ids, then waits no more.
    """

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._held: list[UUID] = []
        self._may_wait = True

    async def enter(self, id: UUID) -> None:
        """Before an aggregate is loaded."""
        if self._may_wait:
            self._may_wait = False
            await self._take(id)

    async def again(self, touched: Iterable[UUID]) -> None:
        """Before another try, which will want these."""
        self.end()
        self._may_wait = False
        for wanted in sorted(set(touched)):
            await self._take(wanted)

    def end(self) -> None:
        while self._held:
            self._turns.give_back(self._held.pop(), self)

    async def _take(self, id: UUID) -> None:
        await self._turns.take(id, self)
        self._held.append(id)
