"""What the platform's processes take of the machine: CPU seconds, and memory as PSS."""

import os
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from ops import processes
from ops.platform import Platform

TICKS = os.sysconf("SC_CLK_TCK")


def records_of(platform: Platform) -> dict[str, Path]:
    """The services, kafka, and postgres."""
    records = {name: platform.home / name / "pid" for name in ("kafka", "postgres")}
    return records | {name: it.home / "pid" for name, it in platform.services.items()}


class Footprint:
    """By name, with all their children. `records`: where the pid of each stands."""

    def __init__(self, records: Mapping[str, Path]) -> None:
        self._records = records

    def cpu(self) -> Counter[str]:
        """Seconds so far."""
        return Counter({name: sum(map(cpu, family)) for name, family in self._families()})

    def idle(self, seconds: float) -> Counter[str]:
        """CPU seconds that a second without any command takes."""
        before = self.cpu()
        time.sleep(seconds)
        return Counter({name: used / seconds for name, used in minus(self.cpu(), before).items()})

    def memory(self) -> dict[str, float]:
        """MiB: what is shared counts in equal parts for those who share it."""
        return {name: sum(map(pss, family)) for name, family in self._families()}

    def _families(self) -> Iterator[tuple[str, list[int]]]:
        for name, record in self._records.items():
            if root := processes.recall(record):
                yield name, [root.pid, *(child.pid for child in processes.children_of(root))]


def minus(
    after: Mapping[str, float], before: Mapping[str, float], times: float = 1
) -> Counter[str]:
    return Counter({name: used - times * before.get(name, 0) for name, used in after.items()})


def cpu(pid: int) -> float:
    """Seconds so far, user and system, of all threads, and of children that have ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:  # it has ended meanwhile, and counts with its parent
        return 0
    return sum(map(int, stat.rpartition(")")[2].split()[11:15])) / TICKS


def pss(pid: int | str) -> float:
    """MiB of one process; 0 if it has ended. `pid` may be "self"."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    found = re.search(r"\nPss: +(\d+)", rollup)
    return int(found[1]) / 1024 if found else 0
