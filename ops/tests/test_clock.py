"""The story clock: deadlines of all services fire in order, and what they cause comes between."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ops.clock import advance, settle, span
from ops.failures import OpsError

START = datetime(2027, 3, 1, 9, tzinfo=UTC)
DAY = timedelta(days=1)


@dataclass
class SmallPlatform:
    """Services as lists of deadlines; a fired one may set another, seen two rounds later."""

    deadlines: dict[str, list[datetime]]
    follow: dict[datetime, tuple[str, datetime]] = field(default_factory=dict)
    now: dict[str, datetime] = field(default_factory=dict)
    fired: list[tuple[str, datetime]] = field(default_factory=list)
    coming: list[tuple[str, datetime]] = field(default_factory=list)
    lag: int = 0
    ticks: timedelta = timedelta()
    fires: bool = True
    put_back: list[datetime] = field(default_factory=list)

    def state_of(self, service: str) -> dict[str, Any]:
        if self.lag > 0:
            self.lag -= 1
            if not self.lag:
                for other, instant in self.coming:
                    self.deadlines[other].append(instant)
                self.coming.clear()
        now = self.now[service] = self.now.get(service, START) + self.ticks
        due = min(self.deadlines[service], default=None)
        fired = len(self.fired)
        return {
            "now": now.isoformat(),
            "head": fired,
            "published": fired,
            "lag": self.lag,
            "errands": 0,
            "next_deadline": due.isoformat() if due else None,
        }

    def set_clock(self, service: str, to: datetime) -> None:
        if to < self.now[service]:
            self.put_back.append(to)
        self.now[service] = to
        for due in sorted(it for it in self.deadlines[service] if it <= to and self.fires):
            self.deadlines[service].remove(due)
            self.fired.append((service, due))
            if due in self.follow:
                self.coming.append(self.follow.pop(due))
                self.lag = 4


def silently(_: str) -> None: ...


def test_deadlines_of_all_services_fire_in_the_order_of_their_due_times() -> None:
    platform = SmallPlatform({"deal": [START + 9 * DAY, START + DAY], "notify": [START + 5 * DAY]})

    reached = advance(platform, ["deal", "notify"], 31 * DAY, silently)

    assert reached == START + 31 * DAY
    assert [due for _, due in platform.fired] == [START + n * DAY for n in (1, 5, 9)]
    assert set(platform.now.values()) == {reached}


def test_a_deadline_that_another_service_sets_on_the_way_fires_before_later_ones() -> None:
    platform = SmallPlatform(
        {"deal": [START + DAY, START + 9 * DAY], "notify": []},
        follow={START + DAY: ("notify", START + 2 * DAY)},
    )

    advance(platform, ["deal", "notify"], 31 * DAY, silently)

    assert [who for who, _ in platform.fired] == ["deal", "notify", "deal"]


def test_a_deadline_beyond_the_target_waits() -> None:
    platform = SmallPlatform({"deal": [START + 3 * DAY]})

    advance(platform, ["deal"], 2 * DAY, silently)

    assert platform.fired == []


def test_a_late_deadline_fires_and_a_clock_that_ticks_is_not_put_back() -> None:
    platform = SmallPlatform({"deal": [START - DAY]}, ticks=timedelta(seconds=1))

    advance(platform, ["deal"], DAY, silently)

    assert platform.fired == [("deal", START - DAY)]
    assert platform.put_back == []


def test_deadlines_without_end_are_an_error_not_a_loop() -> None:
    platform = SmallPlatform({"deal": [START + DAY]}, fires=False)

    with pytest.raises(OpsError, match="do not end: deadlines of deal"):
        advance(platform, ["deal"], 2 * DAY, silently)


def test_a_platform_that_does_not_settle_is_told_with_what_it_waits_for() -> None:
    platform = SmallPlatform({"deal": []}, lag=10**9)

    with pytest.raises(OpsError, match=r"did not settle.*deal: \d+ facts behind"):
        settle(platform, ["deal"], within=0.3)


@pytest.mark.parametrize(
    ("text", "meant"),
    [("31d", 31 * DAY), ("2h", timedelta(hours=2)), ("1w1d30m", 8 * DAY + timedelta(minutes=30))],
)
def test_spans_are_read(text: str, meant: timedelta) -> None:
    assert span(text) == meant


@pytest.mark.parametrize("text", ["", "31", "d", "-1d", "1d 2h", "1y"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(OpsError, match="no span"):
        span(text)
