"""One run: a seed, or a place to crash at; what happened, and what was found wrong."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from random import Random
from typing import Any

from .connections import Sent
from .invariants import wrong_in
from .people import People, Told
from .platform import Durable, Platform
from .ports import ports_of
from .prologue import prologue
from .scheduler import Calm, Endless, Plan, Stuck, Weather
from .story import Lives, Script


@dataclass
class Outcome:
    """`wrong`: what does not hold; `points`: calls of ports."""

    durable: Durable
    ended_at: datetime  # by people's clocks
    told: Sequence[Told]
    mails: Sequence[Any]
    points: int
    trace: Sequence[str]
    wrong: list[str]


def run(
    durable: Durable,
    seed: int,
    plan: Plan,
    begin: Callable[[People], Sequence[Coroutine[Any, Any, None]]],
    *,
    log: list[Sent] | None = None,
) -> Outcome:
    rng = Random(seed)
    platform = Platform(durable, rng, plan, lambda: people.busy == 0)
    people = People(platform, rng)
    platform.log = log
    wrong: list[str] = []

    async def all_begin() -> None:
        platform.start()
        people.begin(*begin(people))

    with ports_of(platform):
        try:
            platform.scheduler.run(all_begin())
        except (Stuck, Endless) as never:
            wrong.append(f"{type(never).__name__}: {platform.unsettled()}, {people.busy} wait")
        finally:
            platform.scheduler.close()
    scheduler = platform.scheduler
    return Outcome(
        durable,
        platform.now(),
        people.told,
        platform.mails,
        scheduler.points,
        scheduler.trace,
        wrong,
    )


def simulated(seed: int, plan: Plan | None = None, script: Script | None = None) -> Outcome:
    """The run of a seed: script, weather and order are drawn from it, where they are not given."""
    rng = Random(f"{seed}")
    drawn = script or Script.drawn(rng)
    outcome = run(
        after_the_prologue().copied(),
        seed,
        plan or Weather(rng),
        lambda people: Lives(people, drawn).all(),
    )
    if not outcome.wrong:
        outcome.wrong += wrong_in(outcome.durable, outcome.told, outcome.mails, outcome.ended_at)
    return outcome


@cache
def after_the_prologue() -> Durable:
    outcome = run(Durable.empty(), 0, Calm(), lambda people: [prologue(people)])
    assert not outcome.wrong, outcome.wrong
    return outcome.durable
