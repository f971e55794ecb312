"""Memory of processes over time: does it grow while they live, or from one life to the next?"""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from ops import processes
from ops.platform import Platform

from .footprint import TICKS, Footprint, records_of

ALIKE_FROM = 20.0  # seconds: the age at which lives are compared
PARTS = 5  # of a window: its first is compared with its last
LEAST_LIVES = 6  # of a process, to compare the first of them with the last


@dataclass(frozen=True)
class Sample:
    """`life`: the pid; `age`: seconds since it started; `size`: MiB as PSS, children included."""

    at: float
    name: str
    life: int
    age: float
    size: float


@dataclass(frozen=True)
class Growth:
    """From the median of the first values to that of the last, of `count` in all."""

    name: str
    first: float
    last: float
    count: int

    @property
    def ratio(self) -> float:
        return self.last / self.first - 1


class Vitals:
    """Of the services, kafka and postgres of a platform."""

    def __init__(self, platform: Platform) -> None:
        self._records = records_of(platform)
        self._footprint = Footprint(self._records)
        self.samples: list[Sample] = []

    def take(self, at: float) -> None:
        """At an instant that is counted from the begin of the run."""
        sizes = self._footprint.memory()
        for name, record in self._records.items():
            if (running := processes.recall(record)) and sizes.get(name):
                age = time.clock_gettime(time.CLOCK_BOOTTIME) - running.started / TICKS
                self.samples.append(Sample(at, name, running.pid, age, sizes[name]))

    def latest(self) -> Mapping[str, float]:
        return {each.name: each.size for each in self.samples}


def within_lives(samples: Iterable[Sample], begin: float, end: float) -> Iterator[Growth]:
    """Of processes that lived all the time between two instants."""
    sizes, lives = defaultdict[str, list[float]](list), defaultdict[str, set[int]](set)
    for each in samples:
        if begin <= each.at <= end:
            sizes[each.name].append(each.size)
            lives[each.name].add(each.life)
    for name, found in sizes.items():
        if len(lives[name]) == 1 and len(found) >= PARTS:
            yield growth(name, found, len(found) // PARTS)


def between_lives(samples: Iterable[Sample], begin: float) -> Iterator[Growth]:
    """Of those that began later: each life by its first sample at the age at which all compare."""
    grown = dict[tuple[str, int], float]()
    for each in samples:
        if each.at - each.age > begin and each.age >= ALIKE_FROM:
            grown.setdefault((each.name, each.life), each.size)
    for name in dict.fromkeys(name for name, _ in grown):
        sizes = [size for (of, _), size in grown.items() if of == name]
        if len(sizes) >= LEAST_LIVES:
            yield growth(name, sizes, len(sizes) // 3)


def growth(name: str, sizes: Sequence[float], ends: int) -> Growth:
    """`ends`: how many values make its begin, and its end."""
    return Growth(name, median(sizes[:ends]), median(sizes[-ends:]), len(sizes))
