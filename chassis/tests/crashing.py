"""The sample service with a reaction, in a process that dies at a step that its environment names.

`SAMPLE_DIES_AT=<step>:<n>` ends it as kill -9 does when it comes to that step for the n-th time.
The steps are seams of the product, wrapped from outside: the product knows nothing of this module.
"""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any
from uuid import UUID, uuid5

from aiokafka import AIOKafkaProducer

from chassis.consuming import parking
from chassis.consuming.intake import Intake
from chassis.context import Context
from chassis.delivery import whenever
from chassis.publishing.relay import Relay
from chassis.running.runtime import run
from chassis.storage.event_store import PostgresEventStore
from chassis.storage.writer import Writer
from chassis.store import Recorded, Store

from . import sampled
from .counters import Counted, Counter

FAILING = 13  # a step that the policy does not take while SAMPLE_FAILS is set
SHADOW = "shadow"


def shadow_of(counter_id: UUID) -> UUID:
    return uuid5(counter_id, SHADOW)


async def shadow(store: Store, ctx: Context, counted: Recorded[Counted]) -> None:
    """Counts the same once more, on another counter: one effect a fact, seen on the topic."""
    if counted.fact.note == SHADOW:
        return
    if counted.fact.step == FAILING and "SAMPLE_FAILS" in os.environ:
        raise ValueError("no shadow for this step")
    counter = await store.load_or_new(Counter, shadow_of(counted.aggregate_id))
    counter.open()
    counter.count(counted.fact.step, note=SHADOW)
    await store.save(ctx, counter)


SERVICE = replace(sampled.SERVICE, policies=(whenever(Counted, shadow, key="shadow"),))


def is_under_way(intake: Intake, *_: Any) -> bool:
    """Something of this window was taken before."""
    return bool(intake._delivered)


def parks(intake: Intake) -> bool:
    return bool(intake._parkings)


def is_new(intake: Intake) -> bool:
    """The shadow is appended with the offsets."""
    return bool(intake.window.commands)


def anything(*_: Any) -> bool:
    return True


# By the name of a step: whose method it is, whether death comes before or after it, and at which
# of its calls, by its first argument. From the request on to the read model.
STEPS: dict[str, tuple[Any, str, str, Callable[..., bool]]] = {
    "before the append": (Writer, "append", "before", anything),
    "between commit and answer": (PostgresEventStore, "_append", "after", anything),
    "between commit and publishing": (Relay, "_send", "before", anything),
    "between publishing and its confirmation": (Relay, "_send", "after", anything),
    "in the middle of a window": (Intake, "attempt", "before", is_under_way),
    "between effect and commit": (Intake, "append_and_commit", "before", is_new),
    "between effect and offset": (Intake, "append_and_commit", "after", is_new),
    "while parking": (Intake, "append_and_commit", "before", parks),
    "once it is parked": (Intake, "append_and_commit", "after", parks),
    "while what was parked is tried again": (parking, "load", "after", anything),
    "between a retry and its release": (parking, "release", "before", anything),
    "between a dead letter and its mark": (AIOKafkaProducer, "send_and_wait", "after", anything),
}


def dies_at(step: str, count: int) -> None:
    """From now on this process ends when it comes to the step for the `count`-th time."""
    owner, name, when, at = STEPS[step]
    wrapped = getattr(owner, name)
    left = count

    def death(*given: Any) -> None:
        nonlocal left
        if at(*given):
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)

    @wraps(wrapped)
    async def dying(*given: Any, **named: Any) -> Any:
        if when == "before":
            death(*given)
        answer = await wrapped(*given, **named)
        if when == "after":
            death(*given)
        return answer

    setattr(owner, name, dying)


if __name__ == "__main__":
    if planned := os.environ.get("SAMPLE_DIES_AT"):
        step, _, count = planned.partition(":")
        dies_at(step, int(count))
    run(SERVICE)
