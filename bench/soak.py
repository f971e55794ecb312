"""A platform under mixed load for half an hour: first left alone, then killed at random moments.

`python -m bench.soak` starts a platform of its own and leaves nothing behind. Memory is judged
twice: within the lives of processes that nobody killed for at least ten minutes, and from one life
to the next, at the same age. What was told and answered is judged by the ledger, from outside. It
exits with 1 if an aim is missed. PRM_CHAOS_SEED repeats a run's chances.
"""

import argparse
import json
import logging
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from random import Random

import httpx2

from chassis.testing.chaos import Chaos
from chassis.testing.topics import Topics
from ops import clock
from ops.failures import OpsError
from ops.local import LocalServer
from ops.platform import Platform
from ops.show import table
from ops.testing import own_platform
from tests.integration.ledger import wrong_after
from tests.integration.load import Load, under_load
from tests.integration.mix import Everybody, Follower, followers
from tests.integration.story import Story

from .vitals import Growth, Vitals, between_lives, within_lives

MINUTES, WRITERS = 30, 6  # a writer tells or asks something three times a second at most
MOST_MINUTES = 50  # a token lives for an hour
LEAST_WINDOW = 600.0  # seconds without a kill, to judge memory by
MOST_GROWTH = 0.10
WARM, QUIET = 0.1, 0.5  # of the time; kills take the rest
SAMPLED_EVERY = 5.0
BETWEEN_KILLS = (5.0, 25.0)  # seconds
AWAY = (1.0, 10.0)  # seconds that broker or database are, once they are killed
DRAINED_WITHIN = 120.0
LAST_WORDS = 4000  # characters of a log
BACKENDS_EVERY = 6  # kills of services for one of the broker and one of the database
BEGUN = time.monotonic()


def tell(line: str) -> None:
    print(f"{(time.monotonic() - BEGUN) / 60:5.1f} min  {line}", flush=True)


@dataclass(frozen=True)
class Plan:
    """When each part ends, in seconds from the begin of the load."""

    warm: float
    quiet: float
    end: float

    @staticmethod
    def of(minutes: float) -> "Plan":
        return Plan(WARM * minutes * 60, (WARM + QUIET) * minutes * 60, minutes * 60)


class Soak:
    """Kills and restarts come from the thread that entered: processes end with who started them."""

    def __init__(self, story: Story, chance: Random, plan: Plan) -> None:
        self.story, self.platform, self.chance, self.plan = story, story.platform, chance, plan
        self.vitals, self.kills = Vitals(self.platform), list[str]()
        self.ended: list[str] = []  # services that nobody had killed
        self._begun = time.monotonic()
        self._victims: list[str] = []
        self._before = (0, 0)

    @property
    def now(self) -> float:
        return time.monotonic() - self._begun

    def run(self, load: Load, live: Sequence[Follower]) -> None:
        """Until the plan ends; a line a minute."""
        self._begun = time.monotonic()
        sample, line, kill = 0.0, 60.0, self.plan.quiet
        while self.now < self.plan.end:
            if self.now >= sample:
                self.vitals.take(self.now)
                sample += SAMPLED_EVERY
            if self.now >= line:
                tell(self.progress(load, live))
                line += 60
            self.look_for_ended()
            if self.now >= kill:
                self.kill(self.next_victim())
                kill = self.now + self.chance.uniform(*BETWEEN_KILLS)
            time.sleep(0.2)

    def look_for_ended(self) -> None:
        """A service goes on without broker and database; who ended is told, and started again."""
        for name, process in self.platform.services.items():
            if not process.is_alive():
                tell(f"WRONG: {name} ended by itself: {process.said()[-LAST_WORDS:]}")
                self.ended.append(name)
                process.begin()

    def next_victim(self) -> str:
        """Each as often as the others, in an order by chance."""
        if not self._victims:
            self._victims = [*list(self.platform.services) * (BACKENDS_EVERY // 3), "kafka"]
            self._victims.append("postgres")
            self.chance.shuffle(self._victims)
        return self._victims.pop()

    def kill(self, victim: str) -> None:
        self.kills.append(victim)
        if victim in self.platform.services:
            self.platform.kill_service(victim)
            self.platform.services[victim].begin()
            return
        backend = getattr(self.platform.backends, victim)
        assert isinstance(backend, LocalServer), "what is given by address is not ours to kill"
        backend.kill()
        time.sleep(self.chance.uniform(*AWAY))
        backend.start()

    def progress(self, load: Load, live: Sequence[Follower]) -> str:
        done = len(load.told.accepted), len(load.told.answered)
        commands, questions = (now - was for now, was in zip(done, self._before, strict=True))
        self._before = done
        lags = {name: status.lag for name, status in self.platform.status().items()}
        behind = ", ".join(f"{name} {lag}" for name, lag in lags.items() if lag != 0)
        sizes = " ".join(f"{name} {size:.0f}" for name, size in self.vitals.latest().items())
        told = load.told
        return (
            f"{commands} commands, {questions} questions; told live {sum(it.told for it in live)};"
            f" {len(told.refused)} refused, {len(told.unavailable)} x 503, {len(told.lost)} lost,"
            f" {len(told.unexpected)} unexpected; {len(self.kills)} kills;"
            f" behind: {behind or 'nobody'}; MiB: {sizes}"
        )


def verdict(soak: Soak, load: Load, live: Sequence[Follower]) -> Iterator[tuple[str, str, str]]:
    """Aim, what was found, whether it is met."""
    ended = ", ".join(soak.ended) or "nobody"
    yield "nobody ends by itself", ended, "MISSED" if soak.ended else "met"
    begun = time.monotonic()
    try:
        for process in soak.platform.services.values():
            process.wait_until_ready()
        clock.settle(soak.platform.client, list(soak.platform.services), DRAINED_WITHIN)
    except OpsError as failure:
        yield "lag back to 0", str(failure), "MISSED"
    else:
        yield "lag back to 0", f"{time.monotonic() - begun:.0f} s after the last command", "met"
        wrong = [*wrong_after(soak.story, load), *(it for each in live for it in each.wrong())]
        for what in wrong:
            tell(f"WRONG: {what}")
        told = f"{len(load.told.accepted)} commands, {sum(it.told for it in live)} told live"
        yield "nothing lost or doubled", told, "MISSED" if wrong else "met"
    yield from memory(soak)


def memory(soak: Soak) -> Iterator[tuple[str, str, str]]:
    samples, plan = soak.vitals.samples, soak.plan
    window = plan.quiet - plan.warm
    within = f"over {window / 60:.0f} min"
    yield from judged(
        soak.platform,
        within,
        within_lives(samples, plan.warm, plan.quiet),
        is_long_enough=window >= LEAST_WINDOW,
    )
    yield from judged(soak.platform, "from life to life", between_lives(samples, plan.quiet))


def judged(
    platform: Platform, over: str, growths: Iterable[Growth], *, is_long_enough: bool = True
) -> Iterator[tuple[str, str, str]]:
    """Of the services: what broker and database take is set by their own configuration."""
    found = {each.name: each for each in growths}
    for name in [*platform.services, *(found.keys() - platform.services.keys())]:
        aim, it = f"memory of {name} {over}, growth < {MOST_GROWTH:.0%}", found.get(name)
        if it is None:
            yield aim, "too few lives or samples", "not judged"
            continue
        is_judged = is_long_enough and name in platform.services
        said = "met" if it.ratio < MOST_GROWTH else "MISSED"
        sizes = f"{it.first:.1f} to {it.last:.1f} MiB, {it.ratio:+.1%}, of {it.count}"
        yield aim, sizes, said if is_judged else "not judged"


def kind_of(answer: str) -> str:
    """A type of problem, or what a client raised, without where."""
    if answer.startswith("{"):
        return str(json.loads(answer)["type"])
    return answer.partition(": ")[2] or answer


def soaked(minutes: float, writers: int) -> list[tuple[str, str, str]]:
    chaos = Chaos.asked()
    with ExitStack() as stack:
        platform = stack.enter_context(own_platform())
        topics = Topics(str(platform.state.kafka))
        stack.callback(topics.close)
        http = stack.enter_context(httpx2.Client(timeout=30, trust_env=False))
        story = Story(platform, topics, http)
        partners = story.partners(3)
        soak = Soak(story, chaos.chance("moments"), Plan.of(minutes))
        live = stack.enter_context(followers(story, partners))
        tell(f"{minutes} minutes begin")
        with under_load(story, chaos, partners=partners, writers=writers, writer=Everybody) as load:
            soak.run(load, live)
        for what in (load.told.refused, load.told.lost, load.told.unavailable):
            tell(f"most often: {Counter(map(kind_of, what)).most_common(5)}")
        return list(verdict(soak, load, live))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--writers", type=int, default=WRITERS)
    asked = parser.parse_args()
    if not 0 < asked.minutes <= MOST_MINUTES:
        parser.error(f"--minutes: more than 0, and at most {MOST_MINUTES}: a token lives an hour")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the broker is killed on purpose
    found = soaked(asked.minutes, asked.writers)
    print(f"\n{table(('aim', 'found', ''), found)}\n")
    missed = [aim for aim, _, said in found if said == "MISSED"]
    tell(f"soak: {len(missed)} of {len(found)} aims missed")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
