"""What a territory's rule covers: the dimensions, their trees, and the named accounts."""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple
from uuid import UUID

from prm_contracts.facts import Value
from prm_contracts.territories import Assignment, Dimensions, TerritoryRule

EVERYWHERE: Final = "*"


class PlacedTerritory(Value):
    """A territory of the map, or as an alignment would place it."""

    territory_id: UUID
    rule: TerritoryRule
    assignments: tuple[Assignment, ...] = ()


class Dimension(NamedTuple):
    """One way to narrow a cell. `covers(wide, narrow)`: whether the first contains the second."""

    name: str
    allowed: Callable[[TerritoryRule], tuple[str, ...]]
    covers: Callable[[str, str], bool]


def within_country(wide: str, narrow: str) -> bool:
    """DE covers DE and DE-BY."""
    return wide == narrow or narrow.startswith(f"{wide}-")


def within_industry(wide: str, narrow: str) -> bool:
    """54 covers 54 and 5415: the digits of NAICS are the tree."""
    return narrow.startswith(wide)


GEOGRAPHY: Final = Dimension("geography", lambda rule: rule.geographies, within_country)
FAMILY: Final = Dimension("family", lambda rule: rule.families, str.__eq__)
INDUSTRY: Final = Dimension("industry", lambda rule: rule.industries, within_industry)
SIZE_BAND: Final = Dimension("size_band", lambda rule: rule.size_bands, str.__eq__)
CHANNEL: Final = Dimension("channel", lambda rule: rule.channels, str.__eq__)
DIMENSIONS: Final = (GEOGRAPHY, FAMILY, INDUSTRY, SIZE_BAND, CHANNEL)


def has_cell(rule: TerritoryRule) -> bool:
    """Named customers with every dimension open are a list of named accounts, not the world."""
    is_narrowed = any(dimension.allowed(rule) for dimension in DIMENSIONS)
    return is_narrowed or not rule.included_customers


def lookup_keys(rule: TerritoryRule) -> frozenset[str]:
    """Under which a territory is found: its countries or everywhere, and its named customers."""
    named = {str(customer_id) for customer_id in rule.included_customers}
    if not has_cell(rule):
        return frozenset(named)
    return frozenset(named | ({code[:2] for code in rule.geographies} or {EVERYWHERE}))


def subject_keys(subject: Dimensions) -> tuple[str, str, str]:
    """A territory that can hold the subject has at least one of these among its keys."""
    return (subject.country, EVERYWHERE, str(subject.customer_id))


def unknown_dimensions(rule: TerritoryRule, subject: Dimensions, family: str) -> set[str] | None:
    """None: some known value lies outside the cell. Else what is unknown and would decide.

    Nothing unknown: the subject lies in the cell.
    """
    unknown: set[str] = set()
    for dimension, name, value in _coordinates(subject, family):
        allowed = dimension.allowed(rule)
        if not allowed or any(value and dimension.covers(code, value) for code in allowed):
            continue
        is_too_coarse = value is None or any(_is_finer(dimension, code, value) for code in allowed)
        if not is_too_coarse:
            return None
        unknown.add(name)
    return unknown


def _is_finer(dimension: Dimension, code: str, value: str) -> bool:
    return code != value and dimension.covers(value, code)


def _coordinates(subject: Dimensions, family: str) -> Iterable[tuple[Dimension, str, str | None]]:
    """Each dimension with the subject's field that answers it, and the value, if known."""
    yield GEOGRAPHY, "subdivision", subject.subdivision or subject.country
    yield FAMILY, "families", family
    yield INDUSTRY, "industry", subject.industry
    yield SIZE_BAND, "size_band", subject.size_band
    yield CHANNEL, "channel", subject.channel


def share_cells(one: TerritoryRule, other: TerritoryRule) -> bool:
    """Whether some subject lies in both: by cell, or as a named account of both."""
    if not _named(one).isdisjoint(_named(other)):
        return True
    return has_cell(one) and has_cell(other) and all(_meet(one, other, at) for at in DIMENSIONS)


def _named(rule: TerritoryRule) -> set[UUID]:
    return set(rule.included_customers) - set(rule.excluded_customers)


def _meet(one: TerritoryRule, other: TerritoryRule, dimension: Dimension) -> bool:
    left, right = dimension.allowed(one), dimension.allowed(other)
    if not left or not right:
        return True
    covers = dimension.covers
    return any(covers(a, b) or covers(b, a) for a in left for b in right)
