"""The story clock of a platform: moved to each deadline in order, the platform settling between.

Every service fires its own deadlines; this decides to which instant all go next.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from ops.failures import OpsError

SETTLING = 60.0  # seconds without any progress
MOST_SETTLING = 5  # times that long may one instant take, though it moves: it may go in circles
SAME_INSTANT = (
    50  # times that deadlines may call for one instant: facts may set new ones due at once
)
_SPAN = re.compile(r"(\d+)([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Services(Protocol):
    """What the clock asks of the platform (client.Client)."""

    def state_of(self, service: str) -> dict[str, Any]: ...
    def set_clock(self, service: str, to: datetime) -> None: ...


@dataclass(frozen=True)
class View:
    """A service at one moment; None is what it cannot say while something is away."""

    now: datetime
    head: int | None
    published: int | None
    lag: int | None
    errands: int | None
    next_deadline: datetime | None

    @staticmethod
    def of(answer: Mapping[str, Any]) -> "View":
        due = answer["next_deadline"]
        return View(
            datetime.fromisoformat(answer["now"]),
            answer["head"],
            answer["published"],
            answer["lag"],
            answer["errands"],
            datetime.fromisoformat(due) if due else None,
        )

    @property
    def is_idle(self) -> bool:
        """What the outside world does not take is not waited for."""
        return self.lag == 0 and self.published == self.head and self.errands == 0


def span(text: str) -> timedelta:
    """31d, 2h, 90m, 1w, also 1d12h. Raises OpsError."""
    parts = _SPAN.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise OpsError(f"{text} is no span of time: say 31d, 2h, 90m or 1d12h.")
    return sum((timedelta(**{_UNITS[unit]: int(number)}) for number, unit in parts), timedelta())


def advance(
    services: Services, names: Sequence[str], by: timedelta, tell: Callable[[str], None]
) -> datetime:
    """Moves all services' clock on by that much and returns the instant reached.

    Deadlines of all services fire in the order of their due times; what they cause is worked off
    before the next. Raises OpsError if the platform does not settle.
    """
    views = settle(services, names)
    target = max(view.now for view in views.values()) + by
    last_due, tries = None, 0
    while (due := _earliest(views, target)) or min(view.now for view in views.values()) < target:
        tries = tries + 1 if due and due == last_due else 0
        if tries > SAME_INSTANT:
            raise OpsError(f"Deadlines due at {due} do not end: {_due(views, target)}.")
        instant = due or target
        for name in names:  # never back: a deadline may be late, and each answer takes its time
            services.set_clock(name, max(instant, View.of(services.state_of(name)).now))
        tell(f"{instant:%Y-%m-%d %H:%M:%S} {_due(views, instant)}".rstrip())
        views, last_due = settle(services, names), due
    return target


def settle(services: Services, names: Sequence[str], within: float = SETTLING) -> dict[str, View]:
    """Waits until two rounds over all services see nothing left to do, and nothing new between.

    `within`: seconds in which something must move. Raises OpsError.
    """
    end = time.monotonic() + within
    last_end = time.monotonic() + MOST_SETTLING * within
    before: list[tuple[int | None, int | None, int | None, int | None]] = []
    while True:
        views = {name: View.of(services.state_of(name)) for name in names}
        now = [(it.head, it.published, it.lag, it.errands) for it in views.values()]
        if now == before and all(view.is_idle for view in views.values()):
            return views
        if now != before:
            end = min(time.monotonic() + within, last_end)
        if time.monotonic() > end:
            raise OpsError(_unsettled(views, within))
        before = now
        time.sleep(0.05)


def _earliest(views: Mapping[str, View], until: datetime) -> datetime | None:
    due = (view.next_deadline for view in views.values())
    return min((instant for instant in due if instant and instant <= until), default=None)


def _due(views: Mapping[str, View], until: datetime) -> str:
    names = [name for name, it in views.items() if it.next_deadline and it.next_deadline <= until]
    return f"deadlines of {', '.join(names)}" if names else ""


def _unsettled(views: Mapping[str, View], within: float) -> str:
    busy = "; ".join(
        f"{name}: {view.lag} facts behind, published {view.published} of {view.head},"
        f" {view.errands} errands under way"
        for name, view in views.items()
        if not view.is_idle
    )
    return (
        f"The platform did not settle within {within:.0f} s ({busy or 'new facts keep coming'}). "
        "`prm status` and `prm dlq list` show where it waits."
    )
