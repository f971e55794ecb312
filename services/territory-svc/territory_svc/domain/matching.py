"""The engine of the conflict check: where a subject lies, and what stands in its partner's way."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from prm_contracts.territories import (
    AssignmentRole,
    Conflict,
    ConflictKind,
    Dimensions,
    MatchedTerritory,
    Resolution,
)
from territory_svc.domain.cells import PlacedTerritory, has_cell, unknown_dimensions

# By kind: how hard it is unless a rule set says otherwise, and the rule that is named as reason.
RESOLUTIONS: Final[dict[ConflictKind, Resolution]] = {
    "OUTSIDE_TERRITORY": "reject",
    "EXCLUSIVE_OTHER": "reject",
    "NAMED_ACCOUNT_OTHER": "reject",
    "SHARED_OVERLAP": "pass",
    "UNASSIGNED_CELL": "flag",
}


@dataclass(frozen=True)
class Located:
    """`territories`: where the subject lies; `missing`: fields that would have decided more."""

    territories: tuple[MatchedTerritory, ...]
    conflicts: tuple[Conflict, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """Where one family of the subject lies; named accounts go before cells."""

    territories: tuple[PlacedTerritory, ...]
    is_named: bool
    missing: frozenset[str]

    def roles(self, partner_id: UUID, *, of_others: bool) -> frozenset[AssignmentRole]:
        assignments = (a for territory in self.territories for a in territory.assignments)
        return frozenset(a.role for a in assignments if (a.partner_id != partner_id) is of_others)


def locate(subject: Dimensions, territories: Iterable[PlacedTerritory]) -> Located:
    """Each family is a cell of its own; a kind is reported once, with the families it concerns.

    So a family that nobody works never excuses another that lies outside.
    """
    candidates = sorted(
        (t for t in territories if subject.customer_id not in t.rule.excluded_customers),
        key=lambda territory: territory.territory_id,
    )
    places = {family: _place(subject, family, candidates) for family in subject.families}
    return Located(
        territories=_matched(places.values()),
        conflicts=_conflicts(subject, places),
        missing=tuple(sorted(frozenset().union(*(place.missing for place in places.values())))),
    )


def _place(subject: Dimensions, family: str, candidates: Sequence[PlacedTerritory]) -> Place:
    named = tuple(t for t in candidates if subject.customer_id in t.rule.included_customers)
    if named:
        return Place(named, is_named=True, missing=frozenset())
    unknown = [
        (territory, unknown_dimensions(territory.rule, subject, family))
        for territory in candidates
        if has_cell(territory.rule)
    ]
    missing = frozenset[str]().union(*(names for _, names in unknown if names))
    inside = tuple(territory for territory, names in unknown if names == set())
    return Place(inside, is_named=False, missing=missing)


def _matched(places: Iterable[Place]) -> tuple[MatchedTerritory, ...]:
    matched = {
        territory.territory_id: MatchedTerritory(
            territory_id=territory.territory_id,
            is_named_account=place.is_named,
            assignments=territory.assignments,
        )
        for place in places
        for territory in place.territories
    }
    return tuple(matched.values())


def kind_of_conflict(place: Place, partner_id: UUID) -> ConflictKind | None:
    """The first of these rules that holds; at most one a family."""
    own = place.roles(partner_id, of_others=False)
    others = place.roles(partner_id, of_others=True)
    if place.is_named and not own:
        return "NAMED_ACCOUNT_OTHER"
    if not own and not others - {"overlay"}:
        return "UNASSIGNED_CELL"
    if "exclusive" in others and not own & {"exclusive", "overlay"}:
        return "EXCLUSIVE_OTHER"
    if not own:
        return "OUTSIDE_TERRITORY"
    return "SHARED_OVERLAP" if others else None


def _conflicts(subject: Dimensions, places: dict[str, Place]) -> tuple[Conflict, ...]:
    families: dict[ConflictKind, list[str]] = {}
    for family, place in places.items():
        kind = kind_of_conflict(place, subject.partner_id)
        if kind:
            families.setdefault(kind, []).append(family)
    return tuple(
        _conflict(kind, {family: places[family] for family in concerned})
        for kind, concerned in sorted(families.items())
    )


def _conflict(kind: ConflictKind, concerned: dict[str, Place]) -> Conflict:
    """The evidence counts territories and never says whose they are."""
    territories = {t.territory_id for place in concerned.values() for t in place.territories}
    missing = frozenset[str]().union(*(place.missing for place in concerned.values()))
    evidence: dict[str, str | int] = {
        "families": ",".join(concerned),
        "territories": len(territories),
    }
    if missing:
        evidence["missing"] = ",".join(sorted(missing))
    rule_id = f"territory.{kind.lower().replace('_', '-')}"
    return Conflict(kind=kind, resolution=RESOLUTIONS[kind], rule_id=rule_id, evidence=evidence)
