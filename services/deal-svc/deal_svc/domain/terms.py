"""The terms of deal registration: one default policy, until a partner's program says otherwise."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from tzdata import IANA_VERSION

from approvals import Step
from prm_contracts.values import BasisPoints, Code, Deadline, MinorUnits


@dataclass(frozen=True)
class DealTerms:
    """`automatic_up_to`: by currency, up to which amount a rule approves a clear deal."""

    policy_version: Code
    window_days: int
    discount_bp: BasisPoints
    automatic_up_to: dict[str, MinorUnits]
    steps: tuple[Step, ...]


# Who holds one of the roles decides within the person's own limit; the first role is asked.
DEFAULT_TERMS = DealTerms(
    policy_version="default-1",
    window_days=90,
    discount_bp=800,
    automatic_up_to={"EUR": 5_000_000, "USD": 5_000_000},
    steps=(Step("channel-account-manager"), Step("channel-operations"), Step("finance-approver")),
)


@cache
def zone_of(name: str) -> ZoneInfo:
    """From the pinned package alone, so that the calendar version says what was computed with."""
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as rules:
        return ZoneInfo.from_file(rules, key=name)


def window_end(now: datetime, window_days: int, zone: str) -> Deadline:
    """The end of the local date that lies so many days after today's in the zone."""
    last = now.astimezone(zone_of(zone)).date() + timedelta(days=window_days)
    return Deadline(
        at=end_of_date(last, zone),
        local_date=last,
        zone=zone,
        calendar_version=f"iana-{IANA_VERSION}",
    )


def end_of_date(day: date, zone: str) -> datetime:
    """UTC instant of the midnight after it; where that is skipped or doubled, the later one."""
    midnight = datetime.combine(day + timedelta(days=1), time(), zone_of(zone))
    return max(midnight.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
