"""Questions that name what their reader has seen wait, bounded, until the read models have it."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import LiteralString, NamedTuple
from uuid import UUID

from chassis.errors import Refusal, Unavailable
from chassis.storage.postgres import PooledReads
from chassis.web.positions import Seen

WITHIN = 2.0  # seconds
EVERY = 0.01  # seconds between two looks, unless woken

# A subscriber that has never heard of an aggregate has seen version 0 of it.
LOOK: LiteralString = """
SELECT asked.place - 1, coalesce(sequences.version, 0) >= asked.version,
    EXISTS (SELECT FROM parking
            WHERE parking.subscriber = asked.subscriber
                AND parking.aggregate_id = asked.aggregate_id
                AND state IN ('waiting', 'dead') AND kind <> 'held')
FROM unnest(%s::text[], %s::uuid[], %s::int[])
    WITH ORDINALITY AS asked(subscriber, aggregate_id, version, place)
LEFT JOIN sequences USING (subscriber, aggregate_id)
"""


class NotYetSeen(Unavailable):
    """What you have seen has not arrived here yet: ask again in a moment."""


@dataclass(eq=False)
class Parked(Unavailable):
    """A fact before the one that you have seen could not be handled: an operator looks after it."""

    retry_after = 60
    id: UUID


class Wanted(NamedTuple):
    subscriber: str
    aggregate_id: UUID
    version: int


@dataclass(eq=False)
class Waiter:
    wanted: list[Wanted]
    done: asyncio.Future[None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Waiting:
    """`topics_of`: by read model, the topics that it is projected from.

    One task of the process asks the database for all that wait, however many they are.
    """

    def __init__(self, reads: PooledReads, topics_of: Mapping[str, frozenset[str]]) -> None:
        self._reads, self._topics_of = reads, topics_of
        self._waiters: set[Waiter] = set()
        self._woken = asyncio.Event()
        self._poller: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """The worker of this process has committed: somebody may have waited for that."""
        self._woken.set()

    async def until_seen(
        self, seen: Iterable[Seen], read_models: Iterable[str] = (), within: float = WITHIN
    ) -> None:
        """None named: all of this service. Raises NotYetSeen, Parked."""
        wanted = [
            Wanted(name, one.aggregate_id, one.version)
            for name in read_models or self._topics_of
            for one in seen
            if one.topic in self._topics_of[name]
        ]
        if not wanted:
            return
        waiter = Waiter(wanted)
        self._waiters.add(waiter)
        self._woken.set()
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll())
        try:
            await asyncio.wait_for(waiter.done, within)
        except TimeoutError:
            raise NotYetSeen from None
        finally:
            self._waiters.discard(waiter)

    async def _poll(self) -> None:
        while self._waiters:
            self._woken.clear()
            waiters = list(self._waiters)
            try:
                await self._look(waiters)
            except Refusal as away:
                for waiter in waiters:
                    if not waiter.done.done():
                        waiter.done.set_exception(away)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), EVERY)

    async def look(self, wanted: Sequence[Wanted]) -> list[tuple[bool, bool]]:
        """Of each, as it is now: whether it is seen, and whether its aggregate is parked."""
        columns = [list(column) for column in zip(*wanted, strict=True)]
        found: list[tuple[bool, bool]] = [(False, False)] * len(wanted)
        for place, is_seen, is_parked in await self._reads.fetch(LOOK, columns):
            found[place] = is_seen, is_parked
        return found

    async def _look(self, waiters: list[Waiter]) -> None:
        asked = [(waiter, wanted) for waiter in waiters for wanted in waiter.wanted]
        missing: set[Waiter] = set()
        seen = await self.look([wanted for _, wanted in asked])
        for (waiter, wanted), (is_seen, is_parked) in zip(asked, seen, strict=True):
            if not is_seen:
                missing.add(waiter)
                if is_parked and not waiter.done.done():
                    waiter.done.set_exception(Parked(wanted.aggregate_id))
        for waiter in set(waiters) - missing:
            if not waiter.done.done():
                waiter.done.set_result(None)
