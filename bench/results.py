"""What a bench found: of each variant one value a round, their spread, and the ratio to a peer."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeVar

from ops.show import table

R = TypeVar("R")
HEAD = ("bench", "variant", "n", "unit", "median", "low", "high", "ratio_to", "ratio")
AIMS_HEAD = ("aim", "found", "")


@dataclass(frozen=True)
class Series:
    """One variant of a bench at one `n`, which is the bench's axis; one value a round.

    All variants of a bench run by turns within each round: the values of a round belong together.
    `ratio_to`: another variant of the same bench and n.
    """

    bench: str
    variant: str
    n: int
    unit: str
    values: tuple[float, ...]
    ratio_to: str | None = None
    is_lower_better: bool = False


@dataclass(frozen=True)
class Aim:
    """A limit of the median, or of the ratio to the variant `to`; upper where lower is better."""

    bench: str
    variant: str
    n: int
    limit: float
    to: str | None = None


def in_rounds(rounds: int, runs: Mapping[str, Callable[[], R]]) -> dict[str, tuple[R, ...]]:
    """By turns: what else the machine does meets them all alike."""
    found = [{name: run() for name, run in runs.items()} for _ in range(rounds)]
    return {name: tuple(each[name] for each in found) for name in runs}


def rows(series: Iterable[Series]) -> list[dict[str, Any]]:
    """As in bench/results.json: HEAD names the fields. Raises LookupError for a missing peer."""
    found = list(series)
    return [
        {
            "bench": each.bench,
            "variant": each.variant,
            "n": each.n,
            "unit": each.unit,
            "median": round(median(each.values), 4),
            "low": round(min(each.values), 4),
            "high": round(max(each.values), 4),
            "ratio_to": each.ratio_to,
            "ratio": each.ratio_to and round(ratio(found, each, each.ratio_to), 4),
        }
        for each in found
    ]


def ratio(series: Iterable[Series], one: Series, to: str) -> float:
    """The median of the ratios of the rounds."""
    peer = _find(series, one.bench, to, one.n)
    return median(ours / theirs for ours, theirs in zip(one.values, peer.values, strict=True))


def _find(series: Iterable[Series], bench: str, variant: str, n: int) -> Series:
    for each in series:
        if (each.bench, each.variant, each.n) == (bench, variant, n):
            return each
    raise LookupError(f"no variant {variant!r} of {bench!r} at {n}")


def cells(series: Iterable[Series]) -> list[tuple[str, ...]]:
    """The rows, to be read."""
    return [
        (
            *(str(row[name]) for name in HEAD[:4]),
            *(said(row[name]) for name in HEAD[4:7]),
            row["ratio_to"] or "",
            said(row["ratio"]),
        )
        for row in rows(series)
    ]


def judged(series: Sequence[Series], aims: Iterable[Aim]) -> list[tuple[str, str, str]]:
    """Each aim, what was found, and whether that meets it; a variant left out says so."""
    return [_judged(series, aim) for aim in aims]


def _judged(series: Sequence[Series], aim: Aim) -> tuple[str, str, str]:
    name = f"{aim.bench}, {aim.variant} at {aim.n:,}"
    try:
        one = _find(series, aim.bench, aim.variant, aim.n)
        found = ratio(series, one, aim.to) if aim.to else median(one.values)
    except LookupError:
        return f"{name}: {said(aim.limit)}{f' x {aim.to}' if aim.to else ''}", "", "not measured"
    is_met = found <= aim.limit if one.is_lower_better else found >= aim.limit
    bound = "at most" if one.is_lower_better else "at least"
    unit = f"x {aim.to}" if aim.to else one.unit
    # What is rounded to its limit would read as if it were met.
    shown = said(found) if is_met or said(found) != said(aim.limit) else f"{found:,.4f}"
    return f"{name}: {bound} {said(aim.limit)} {unit}", shown, "met" if is_met else "MISSED"


def said(value: float | None) -> str:
    """Three or more figures."""
    if value is None:
        return ""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def show(series: Sequence[Series], aims: Sequence[Aim] = ()) -> None:
    """Prints both tables."""
    print(table(HEAD, cells(series)))
    if aims:
        print("\n" + table(AIMS_HEAD, judged(series, aims)))
