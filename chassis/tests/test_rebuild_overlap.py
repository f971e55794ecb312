"""A rebuild reads the next facts while the server takes those before."""

import threading
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any

from chassis.consuming.records import Record
from chassis.rebuilding.topics import FromTopics

BATCHES, WITHIN = 3, 10.0


class AtHand:
    """A reader whose records are all there, so that nobody waits for them."""

    async def stretches(self, _: Any) -> AsyncIterator[list[Record]]:
        for offset in range(BATCHES):
            yield [Record("prm.lines", 0, offset, None, None, ())]


class Meeting:
    """A folding that reads on once the facts before are being taken."""

    def __init__(self) -> None:
        self._taken_now = [threading.Event() for _ in range(BATCHES)]
        self.met = list[bool]()

    def read(self, records: Sequence[Record]) -> list[int]:
        offset = records[0].offset
        if offset:
            self.met.append(self._taken_now[offset - 1].wait(WITHIN))
        return [offset]

    def apply(self, offsets: Sequence[int]) -> None:
        self._taken_now[offsets[0]].set()


async def test_facts_are_taken_while_the_next_ones_are_read() -> None:
    topic = SimpleNamespace(name="prm.lines", partitions=1)
    service: Any = SimpleNamespace(projections=[SimpleNamespace(name="lines", topic=topic)])
    connection: Any = None
    source: Any = FromTopics(connection, service, "lines", "")
    source._reader, source._folding = AtHand(), Meeting()
    taken = list[int]()

    await source.fold(taken.append)

    assert source._folding.met == [True] * (BATCHES - 1)
    assert taken == [1] * BATCHES
