"""The figures of a run: each beside what it is held against, as a table and as JSON."""

import json
import os
import platform
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import quantiles

from ops.show import table

LIBRARIES = ("faust-streaming", "aiokafka", "psycopg", "pydantic", "fastapi", "eventsourcing")


@dataclass(frozen=True)
class Figure:
    """`against`: a peer or a limit of the same run, or an aim; `limit`: its value, same unit."""

    name: str
    value: float
    unit: str
    against: str = ""
    limit: float | None = None

    @property
    def ratio(self) -> float | None:
        return round(self.value / self.limit, 2) if self.limit else None


def p50_p99(name: str, seconds: Sequence[float], against: Sequence[Figure] = ()) -> list[Figure]:
    """In milliseconds. `against`: the same two of a peer."""
    cuts = quantiles(seconds, n=100, method="inclusive")
    peers: list[tuple[str, float | None]] = [("", None)] * 2
    if against:
        peers = [(peer.name.rpartition(" ")[0], peer.value) for peer in against]
    return [
        Figure(f"{name} {cut}", round(value * 1000, 1), "ms", *peer)
        for cut, value, peer in zip(("p50", "p99"), (cuts[49], cuts[98]), peers, strict=True)
    ]


def as_table(figures: Iterable[Figure]) -> str:
    rows = [
        (each.name, f"{each.value:,.1f}", each.unit, each.against, _said(each.limit), each.ratio)
        for each in figures
    ]
    return table(("figure", "value", "", "against", "", "ratio"), rows)


def _said(limit: float | None) -> str | None:
    return None if limit is None else f"{limit:,.1f}"


def machine() -> dict[str, str]:
    """What the figures were taken on: they compare with others of the same line only."""
    memory = re.findall(r"MemTotal: +(\d+)", Path("/proc/meminfo").read_text())[0]
    models = re.findall(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    return {
        "cores": str(os.cpu_count()),
        "processor": models[0] if models else platform.machine(),
        "memory": f"{int(memory) / 2**20:.0f} GiB",
        "load before": f"{os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
        **{name: version(name) for name in LIBRARIES},
    }


def write_json(path: Path, about: dict[str, str], figures: Iterable[Figure]) -> None:
    found = [asdict(each) | {"ratio": each.ratio} for each in figures]
    path.write_text(json.dumps({"machine": about, "figures": found}, indent=2) + "\n")
