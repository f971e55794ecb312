"""What has moved in the store and is in the read models by now: for lists followed live."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import LiteralString
from uuid import UUID

from chassis.storage.postgres import PooledReads
from chassis.web.waiting import Waiting, Wanted

LOOKED_EVERY = 0.1  # seconds, by each stream
KNOWN_FOR = 0.05  # seconds that the store's end is taken for known, by all of them

HEAD: LiteralString = "SELECT coalesce(max(position), 0) FROM events"
MOVED: LiteralString = (
    "SELECT aggregate_id, min(version), max(version), min(position) FROM events"
    " WHERE position > %s AND position <= %s AND type = ANY (%s::text[]) GROUP BY aggregate_id"
)


@dataclass
class Moved:
    """An aggregate with facts that its reader was not shown: from which version, position."""

    since: int
    version: int
    position: int


class Live:
    """`types_of`: by read model, the facts of the own store that it is projected from."""

    def __init__(
        self, facts: PooledReads, waiting: Waiting, types_of: Mapping[str, Sequence[str]]
    ) -> None:
        self._facts, self._waiting, self._types_of = facts, waiting, types_of
        self._stopping = asyncio.Event()
        self._looked_at = float("-inf")
        self._looking: asyncio.Task[int] | None = None
        self.streams = 0

    def stop(self) -> None:
        """The streams end, and their clients go on elsewhere from where they are."""
        self._stopping.set()

    async def head(self) -> int:
        """The store's end as it was a moment ago: asked once for all who follow.

        Who begins to follow there is told what came since, and perhaps a little of what was before.
        """
        now = asyncio.get_running_loop().time()
        if self._looking is None or now - self._looked_at > KNOWN_FOR:
            self._looked_at, self._looking = now, asyncio.create_task(self._look())
        return await asyncio.shield(self._looking)  # who leaves does not take it from the others

    async def _look(self) -> int:
        [(head,)] = await self._facts.fetch(HEAD, ())
        return int(head)

    async def pause(self) -> bool:
        """Whether to go on."""
        try:
            await asyncio.wait_for(self._stopping.wait(), LOOKED_EVERY)
        except TimeoutError:
            return True
        return False

    async def moved(
        self, read_model: str, after: int, until: int, known: dict[UUID, Moved]
    ) -> None:
        """Adds to `known` what lies behind the position `after`, up to `until`."""
        types = list(self._types_of[read_model])
        for aggregate_id, since, version, position in await self._facts.fetch(
            MOVED, (after, until, types)
        ):
            one = known.setdefault(aggregate_id, Moved(since, version, position))
            one.version = version

    async def projected(self, read_model: str, known: Mapping[UUID, Moved]) -> list[UUID]:
        """Those that the read model has as they are. One that is parked is waited for."""
        wanted = [Wanted(read_model, each, moved.version) for each, moved in known.items()]
        seen = await self._waiting.look(wanted) if wanted else []
        return [
            each.aggregate_id for each, (is_seen, _) in zip(wanted, seen, strict=True) if is_seen
        ]

    def follows(self, read_model: str) -> bool:
        return bool(self._types_of.get(read_model))
