"""Runs of the simulation: many seeds, one seed with all that happened, or a crash at every call.

`python -m tests.simulation --help`, with PYTHONHASHSEED=0, so that a seed is the same run anywhere.
"""

import argparse
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

from .faults import FAULTS
from .run import Outcome, after_the_prologue, simulated
from .scheduler import CrashAt
from .story import ONE_DEAL

SHOWN = 60  # of the last calls of a run that failed
TOLD_EVERY = 500  # runs
CRASHING = 3  # the seed that orders the story which is crashed everywhere


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def seeds(first: int, count: int) -> Iterator[tuple[str, Outcome]]:
    for seed in range(first, first + count):
        yield f"--seed {seed}", simulated(seed)


def crashes(within: int) -> Iterator[tuple[str, Outcome]]:
    """At every call, and at every pair of calls at most so far apart."""
    whole = simulated(CRASHING, CrashAt(frozenset()), ONE_DEAL)
    yield "--crash", whole
    for at in range(1, whole.points + 1):
        for places in ((at,), *((at, at + apart) for apart in range(1, within + 1))):
            plan = CrashAt(frozenset(places))
            yield f"--crash {' '.join(map(str, places))}", simulated(CRASHING, plan, ONE_DEAL)


def replayed(arguments: argparse.Namespace) -> Outcome:
    if arguments.crash is not None:
        return simulated(CRASHING, CrashAt(frozenset(arguments.crash)), ONE_DEAL)
    return simulated(arguments.seed)


def tell(replay: str, outcome: Outcome, shown: int) -> None:
    for line in outcome.trace[-shown:]:
        say(line)
    for what in outcome.wrong:
        say(f"WRONG: {what}")
    say(f"{outcome.points} calls; again with: make simulate REPLAY='{replay}'")


def explored(runs: Iterator[tuple[str, Outcome]], planted: str | None) -> bool:
    """Whether all went well; stops at the first that did not."""
    count = points = 0
    for replay, outcome in runs:
        count, points = count + 1, points + outcome.points
        if outcome.wrong:
            tell(replay + (f' --plant "{planted}"' if planted else ""), outcome, SHOWN)
            say(f"found by run {count}")
            return False
        if not count % TOLD_EVERY:
            say(f"{count} runs, all well so far")
    say(f"{count} runs, {points} calls of ports: all well")
    return True


def noticed(first: int, count: int) -> None:
    """Which run, of so many, is the first to notice each fault: the table of ADR 20."""
    for name in sorted(FAULTS):
        with FAULTS[name]():
            runs = enumerate(seeds(first, count), 1)
            found = next((f"{it}" for it, (_, outcome) in runs if outcome.wrong), "-")
        say(f"{found:>6}  {name}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    add: Any = parser.add_argument
    add("--seeds", type=int, default=0, help="how many seeds")
    add("--first", type=int, default=0, help="the first of them")
    add("--crashes", action="store_true", help="one story, crashed at every call of a port")
    add("--pairs", type=int, default=0, help="and at every pair at most so far apart")
    add("--seed", type=int, help="one run, with all that happened")
    add("--crash", type=int, nargs="*", help="one run, crashed at these calls")
    add("--plant", choices=sorted(FAULTS), help="with a fault that must be found")
    add("--faults", action="store_true", help="each of them in turn, and the seed that finds it")
    arguments = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":
        parser.error("set PYTHONHASHSEED=0: another order of sets is another run")
    logging.getLogger("chassis").setLevel(logging.CRITICAL + 1)  # faults are what it is about
    after_the_prologue()
    if arguments.faults:
        noticed(arguments.first, arguments.seeds)
        return
    with FAULTS[arguments.plant]() if arguments.plant else nullcontext():
        if arguments.seed is not None or arguments.crash is not None:
            outcome = replayed(arguments)
            tell(" ".join(sys.argv[1:]), outcome, len(outcome.trace))
            sys.exit(bool(outcome.wrong))
        runs = crashes(arguments.pairs) if arguments.crashes else None
        runs = runs or seeds(arguments.first, arguments.seeds)
        sys.exit(not explored(runs, arguments.plant))


if __name__ == "__main__":
    main()
