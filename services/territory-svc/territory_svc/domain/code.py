"""The reservation of a territory's code: one active territory a code."""

from dataclasses import dataclass
from typing import Final, assert_never
from uuid import UUID, uuid5

from chassis.aggregates import Aggregate
from chassis.errors import Conflict
from prm_contracts.territories import (
    TerritoryKeyReleased,
    TerritoryKeyReserved,
    TerritoryReservationFact,
)

NAMESPACE: Final = UUID("8a4f0c1e-93b5-5d52-9a6e-7c0c2f3f4b21")
SCOPE: Final = "territory-code"


@dataclass(eq=False)
class TerritoryCodeTaken(Conflict):
    """Another territory has this code: take another one, or name that territory's id."""

    code: str
    territory_id: UUID


def code_id(code: str) -> UUID:
    return uuid5(NAMESPACE, f"{SCOPE} {code}")


class CodeReservation(Aggregate[TerritoryReservationFact]):
    held_by: UUID | None = None

    def ensure_free_for(self, code: str, territory_id: UUID) -> None:
        if self.held_by not in (None, territory_id):
            raise TerritoryCodeTaken(code, self.held_by)

    def claim(self, code: str, territory_id: UUID) -> None:
        self.ensure_free_for(code, territory_id)
        if self.held_by is None:
            self.record(TerritoryKeyReserved(scope=SCOPE, held_by=territory_id))

    def release(self, territory_id: UUID) -> None:
        if self.held_by == territory_id:
            self.record(TerritoryKeyReleased(scope=SCOPE, held_by=territory_id))

    def apply(self, fact: TerritoryReservationFact) -> None:
        match fact:
            case TerritoryKeyReserved():
                self.held_by = fact.held_by
            case TerritoryKeyReleased():
                self.held_by = None
            case _:
                assert_never(fact)
