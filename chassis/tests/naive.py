"""The sample service with a worker as most are: it trusts the offsets of its group, and its ids.

What a record is gets its effect whenever it is handed over. Offsets are still written, and nobody
looks at them; versions that were seen say nothing; and a command's id is new each time.
"""

from collections.abc import Iterable
from typing import Any
from uuid import UUID, uuid4

from chassis.consuming.intake import Intake
from chassis.consuming.records import Envelope, Record
from chassis.consuming.tracking import Track
from chassis.consuming.windows import Windows
from chassis.context import Context
from chassis.running.runtime import run

from .crashing import SERVICE

contexts = Intake._context


async def take_all(
    windows: Windows,
    intake: Intake,
    records: Iterable[tuple[Record, Any]],
    offsets: dict[Track, int],
    _: object,
) -> None:
    for record, envelope in records:
        for subscriber in windows._house.on(record.topic):
            offsets[Track(subscriber.name, record.topic, record.partition)] = record.offset
            assert isinstance(envelope, Envelope)
            assert await intake._take(subscriber, envelope, is_held_enough=True) is None


def by_chance(intake: Intake, envelope: Envelope, _: UUID) -> Context:
    return contexts(intake, envelope, uuid4())


INSTEAD = ((Windows, "_offer_all", take_all), (Intake, "_context", by_chance))

if __name__ == "__main__":
    for owner, name, naive in INSTEAD:
        setattr(owner, name, naive)
    run(SERVICE)
