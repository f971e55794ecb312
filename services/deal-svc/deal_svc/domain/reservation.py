"""A unique key: one holder at a time. The key itself stays in the aggregate's id."""

from dataclasses import dataclass
from typing import assert_never
from uuid import UUID, uuid5

from chassis.aggregates import Aggregate
from chassis.errors import Conflict
from prm_contracts.customers import DealKeyReleased, DealKeyReserved, DealReservationFact

NAMESPACE = UUID("0f3b7c0a-52a4-5a2e-9f0e-6f4a6d1f9b51")


@dataclass(eq=False)
class KeyTaken(Conflict):
    """What is asked to be unique in this scope belongs to another already: choose another."""

    scope: str


def reservation_id(scope: str, *parts: str) -> UUID:
    return uuid5(NAMESPACE, " ".join((scope, *parts)))


class KeyReservation(Aggregate[DealReservationFact]):
    held_by: UUID | None = None

    def reserve(self, scope: str, holder: UUID) -> None:
        if self.held_by not in {None, holder}:
            raise KeyTaken(scope)
        if self.held_by is None:
            self.record(DealKeyReserved(scope=scope, held_by=holder))

    def apply(self, fact: DealReservationFact) -> None:
        match fact:
            case DealKeyReserved():
                self.held_by = fact.held_by
            case DealKeyReleased():
                self.held_by = None
            case _:
                assert_never(fact)
