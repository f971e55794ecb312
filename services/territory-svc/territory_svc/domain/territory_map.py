"""The one map of the vendor: it counts the alignments, one of which is activated at a time."""

from typing import Final
from uuid import UUID

from chassis.aggregates import Aggregate
from prm_contracts.territories import MapSwitched
from territory_svc.domain.territory import Switch

MAP_ID: Final = UUID("0d2f6a52-6a3d-5c61-8e0b-5c1f6f1f2a10")


class TerritoryMap(Aggregate[MapSwitched]):
    """Every activation appends to it, so that of two at the same time one decides again."""

    alignment_version: int = 0

    def switch(self, switch: Switch) -> None:
        self.record(
            MapSwitched(
                alignment_version=switch.alignment_version,
                alignment_id=switch.alignment_id,
                effective_at=switch.effective_at,
            )
        )

    def apply(self, fact: MapSwitched) -> None:
        self.alignment_version = fact.alignment_version
