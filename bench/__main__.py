"""Runs the benches and keeps what they found: `python -m bench [NAME ...]`, all without a name.

Writes bench/results.json and docs/benchmarks.md. A bench is a module of this package with
`measure(tell) -> list[Series]`, and where it has any, AIMS. bench/notes/NAME.md says by hand where
its time goes. What was found of benches that do not run this time stays as it was.
"""

import argparse
import importlib
import json
import pkgutil
import re
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

from chassis.running.runtime import collect_less
from ops.settings import CHECKOUT

from . import results
from .figures import machine
from .results import Series

HERE = Path(__file__).parent
ROWS, PAGE = HERE / "results.json", CHECKOUT / "docs/benchmarks.md"
BEGUN = time.monotonic()
INTRODUCTION = """# Benchmarks

Written by `make bench`; what is said about where time goes stands in `bench/notes/` by hand. All
variants of a bench run by turns, several rounds, on one machine and the same servers. *low* and
*high* are the extremes of the rounds, *ratio* is the median of the ratios of each round to the
variant named. Compare ratios; values of two machines or two days do not compare.
"""


def tell(line: str) -> None:
    print(f"{time.monotonic() - BEGUN:7.1f} s  {line}", flush=True)


def benches() -> dict[str, ModuleType]:
    found = {}
    for module in pkgutil.iter_modules([str(HERE)]):
        if module.name != "__main__":
            loaded = importlib.import_module(f"bench.{module.name}")
            if hasattr(loaded, "measure"):
                found[module.name] = loaded
    return found


def section(name: str, bench: ModuleType, series: Sequence[Series]) -> str:
    on = ", ".join(f"{part} {value}" for part, value in machine().items())
    taken = f"{datetime.now(UTC):%Y-%m-%d}, {on}."
    about = (bench.__doc__ or "").partition("\n\n")[0]
    parts = [f"## {name}", about, markdown(results.HEAD, results.cells(series)), f"Taken {taken}"]
    if aims := getattr(bench, "AIMS", ()):
        parts.append(markdown(("aim", "found", " "), results.judged(series, aims)))
    notes = HERE / "notes" / f"{name}.md"
    if notes.exists():
        parts.append(notes.read_text().strip())
    return "\n\n".join(parts) + "\n"


def markdown(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *lines))


def keep(name: str, bench: ModuleType, series: Sequence[Series]) -> None:
    """In the place of what this bench found before."""
    new = results.rows(series)
    written = {row["bench"] for row in new}
    old = json.loads(ROWS.read_text()) if ROWS.exists() else []
    kept = [row for row in old if row["bench"] not in written] + new
    lines = ",\n".join(json.dumps(row) for row in sorted(kept, key=lambda row: str(row["bench"])))
    ROWS.write_text(f"[\n{lines}\n]\n")

    page = PAGE.read_text() if PAGE.exists() else ""
    sections = {part[3:].split("\n")[0]: part for part in re.split(r"\n(?=## )", page)[1:]}
    sections[name] = section(name, bench, series)
    PAGE.write_text("\n".join([INTRODUCTION, *(sections[each] for each in sorted(sections))]))


def main() -> None:
    known = benches()
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(known))
    names = parser.parse_args().names or list(known)
    collect_less()  # as a service does once it has begun: what is imported is not looked through
    if strange := set(names) - set(known):
        parser.error(
            f"there is no bench {', '.join(sorted(strange))}; there are {', '.join(known)}"
        )
    for name in names:
        tell(name)
        series = known[name].measure(tell)
        if not series:  # it has said what it lacks here: what was found elsewhere stays
            continue
        results.show(series, getattr(known[name], "AIMS", ()))
        keep(name, known[name], series)


if __name__ == "__main__":
    main()
