"""Deals registered by an open loop at n % of the capacity, which waits for nobody, and after that.

A closed loop hides stalls: it asks less while it waits. The API of deal-svc is one process by
itself; the load generator takes its share of the same machine. `python -m bench.overload`.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from pathlib import Path

from . import vegeta
from .alone import Alone, alone, own_server
from .results import Aim, Series, show
from .vegeta import Answer, p50_p99

WIDTH, CLOSED_FOR, CLOSED_ROUNDS = 64, 5.0, 3
MOST = 3000  # requests a second that the closed loop has targets for
CALM_FOR, OVER_FOR, AFTER_FOR = 20.0, 60.0, 60.0  # seconds
SLICE = 5.0  # seconds of what comes after, each with a p99 of its own
NORMAL = 2.0  # times the p99 before
REFUSED = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
AIMS = (
    Aim("overload", "accepted", 500, 0.7, "capacity"),
    Aim("overload", "refused: p99", 500, 1000),
    Aim("overload", "lost or without Retry-After", 500, 0),
    Aim("overload", "p99 is back after", 50, 60),
)


class Load:
    """Of one service; `rate` in requests a second. `accepted_takes`: seconds of the API's CPU."""

    accepted_takes = 0.0

    def __init__(self, deals: Alone, folder: Path) -> None:
        self._deals, self._file = deals, folder / "targets"

    def closed(self) -> float:
        """What it answers in a second when WIDTH clients each ask as soon as they are answered."""
        before, answers = self.cpu(), self._told(MOST * CLOSED_FOR, CLOSED_FOR, 0)
        self.accepted_takes = (self.cpu() - before) / len(answers)
        return len(answers) / (max(each.at + each.seconds for each in answers) - answers[0].at)

    def cpu(self) -> float:
        """Seconds that the API has used."""
        return self._deals.footprint.cpu()["api"]

    def open(self, rate: float, seconds: float) -> list[Answer]:
        return self._told(rate * seconds * 1.1, seconds, rate)

    def _told(self, count: float, seconds: float, rate: float) -> list[Answer]:
        file = vegeta.targets(self._file, self._deals.url, self._deals.headers, round(count))
        return sorted(vegeta.attack(file, seconds, rate=rate, workers=WIDTH))


@contextmanager
def loaded() -> Iterator[Load]:
    with (
        tempfile.TemporaryDirectory() as folder,
        own_server(Path(folder)) as server,
        alone(server, Path(folder) / "deals") as deals,
    ):
        yield Load(deals, Path(folder))


def measure(tell: Callable[[str], None]) -> list[Series]:
    if reason := vegeta.why_not():
        tell(f"left out: {reason}")
        return []
    with loaded() as load:
        load.closed()  # the first requests build what all others use
        closed = [load.closed() for _ in range(CLOSED_ROUNDS)]
        capacity = sorted(closed)[len(closed) // 2]
        tell(f"{capacity:.0f} requests/s in a closed loop of {WIDTH}")
        found = [Series("overload", "capacity", 500, "requests/s", (capacity,))]
        before = 0.0
        for part in (80, 50):
            answers = load.open(capacity * part / 100, CALM_FOR)
            half, before = p50_p99(each.seconds for each in answers)
            found += [_ms("p50", part, half), _ms("p99", part, before), lost(answers, part)]
            tell(f"at {part} %: p50 {half * 1000:.1f} ms, p99 {before * 1000:.1f} ms")
        used, answers = load.cpu(), load.open(capacity * 5, OVER_FOR)
        found += over(answers)
        found += cpu(load.accepted_takes, load.cpu() - used, answers)
        tell(f"at 500 %: {len(accepted(answers)) / OVER_FOR:.0f} accepted/s")
        after = load.open(capacity / 2, AFTER_FOR)
        back = back_after(after, before * NORMAL)
        tell(f"p99 is normal again after {back:.0f} s")
        found.append(Series("overload", "p99 is back after", 50, "s", (back,), None, True))
        return found


def over(answers: Sequence[Answer]) -> Iterator[Series]:
    kept, refused = accepted(answers), [each for each in answers if each.status in REFUSED]
    half, most = p50_p99(each.seconds for each in kept)
    goodput = len(kept) / OVER_FOR
    yield Series("overload", "accepted", 500, "requests/s", (goodput,), "capacity")
    yield from (_ms("accepted: p50", 500, half), _ms("accepted: p99", 500, most))
    half, most = p50_p99(each.seconds for each in refused)
    yield from (_ms("refused: p50", 500, half), _ms("refused: p99", 500, most))
    yield lost(answers, 500)


def cpu(accepted_takes: float, used: float, answers: Sequence[Answer]) -> Iterator[Series]:
    """What is left of that used when those accepted took what they take in the closed loop."""
    kept = len(accepted(answers))
    refused_takes = (used - kept * accepted_takes) / max(1, len(answers) - kept)
    for variant, part, took in (("accepted", 100, accepted_takes), ("refused", 500, refused_takes)):
        values = (took * 1e6,)
        yield Series(
            "overload CPU", variant, part, "us/request", values, None, is_lower_better=True
        )


def accepted(answers: Sequence[Answer]) -> list[Answer]:
    return [each for each in answers if each.status == HTTPStatus.CREATED]


def lost(answers: Sequence[Answer], part: int) -> Series:
    """What was neither done nor told when to come again."""
    count = sum(
        each.status != HTTPStatus.CREATED and not (each.status in REFUSED and each.retry_after)
        for each in answers
    )
    return Series("overload", "lost or without Retry-After", part, "requests", (count,), None, True)


def back_after(answers: Sequence[Answer], normal: float) -> float:
    """Seconds until the first slice of which the p99 is normal."""
    begun = answers[0].at
    for number in range(round(AFTER_FOR / SLICE)):
        ends = begun + (number + 1) * SLICE
        taken = [each.seconds for each in answers if ends - SLICE <= each.at < ends]
        if p50_p99(taken)[1] <= normal:
            return number * SLICE
    return AFTER_FOR


def _ms(variant: str, part: int, seconds: float) -> Series:
    return Series("overload", variant, part, "ms", (seconds * 1000,), None, is_lower_better=True)


def main() -> None:
    show(measure(partial(print, flush=True)), AIMS)


if __name__ == "__main__":
    main()
