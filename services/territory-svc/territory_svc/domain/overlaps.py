"""Which territories share cells although one partner holds one of them exclusively."""

from collections import defaultdict
from collections.abc import Iterable
from uuid import UUID

from prm_contracts.territories import Overlap
from territory_svc.domain.cells import EVERYWHERE, PlacedTerritory, lookup_keys, share_cells


def overlaps(
    changed: Iterable[PlacedTerritory], standing: Iterable[PlacedTerritory]
) -> tuple[Overlap, ...]:
    """Pairs of a changed territory and any other, in the order of `changed`.

    Only territories under a common key can meet, so each is compared with those alone.
    """
    index = _Index(standing)
    found: list[Overlap] = []
    for territory in changed:
        found += [
            Overlap(territory_id=territory.territory_id, other_id=other.territory_id)
            for other in index.near(territory)
            if are_rivals(territory, other) and share_cells(territory.rule, other.rule)
        ]
        index.add(territory)
    return tuple(found)


def are_rivals(one: PlacedTerritory, other: PlacedTerritory) -> bool:
    """A partner has one exclusively and another partner works the other, not just as overlay."""
    return _excludes(one, other) or _excludes(other, one)


def _excludes(one: PlacedTerritory, other: PlacedTerritory) -> bool:
    holder = next((a.partner_id for a in one.assignments if a.role == "exclusive"), None)
    if holder is None:
        return False
    return any(a.partner_id != holder and a.role != "overlay" for a in other.assignments)


class _Index:
    """Territories by lookup key; one that lies everywhere is near to all."""

    def __init__(self, territories: Iterable[PlacedTerritory]) -> None:
        self.all: dict[UUID, PlacedTerritory] = {}
        self.by_key: defaultdict[str, dict[UUID, PlacedTerritory]] = defaultdict(dict)
        for territory in territories:
            self.add(territory)

    def add(self, territory: PlacedTerritory) -> None:
        self.all[territory.territory_id] = territory
        for key in lookup_keys(territory.rule):
            self.by_key[key][territory.territory_id] = territory

    def near(self, territory: PlacedTerritory) -> Iterable[PlacedTerritory]:
        keys = lookup_keys(territory.rule)
        if EVERYWHERE in keys:
            return self.all.values()
        near: dict[UUID, PlacedTerritory] = {}
        for key in (*keys, EVERYWHERE):
            near |= self.by_key.get(key, {})
        return near.values()
