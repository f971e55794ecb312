"""One holder a unique key: its holder claims and releases it in the append that needs it."""

from dataclasses import dataclass
from typing import assert_never
from uuid import UUID, uuid5

from chassis.aggregates import Aggregate
from chassis.errors import Conflict
from prm_contracts.facts import Value
from prm_contracts.partners import PartnerKeyFact, PartnerKeyReleased, PartnerKeyReserved
from prm_contracts.values import Code

NAMESPACE = UUID("3b6a2f0e-5d0b-5c38-9d55-6c1c3b9f4e21")


@dataclass(eq=False)
class KeyTaken(Conflict):
    """Somebody holds this key already: go on with the one named here, if it is for you to see."""

    scope: Code
    held_by: UUID | None


def reservation_id(scope: Code, key: str) -> UUID:
    """`key`: normalised, and not personal; a personal one comes as a keyed hash."""
    return uuid5(NAMESPACE, f"{scope} {key}")


class UniqueKey(Value):
    """A key that one holder at a time has: of which scope, and where it is reserved."""

    scope: Code
    reservation_id: UUID


class Reservation(Aggregate[PartnerKeyFact]):
    held_by: UUID | None = None

    def reserve(self, scope: Code, holder: UUID, *, tells_holder: bool = True) -> None:
        """`tells_holder`: to whoever is refused; a partner's people may not see whose it is."""
        if self.held_by not in (None, holder):
            raise KeyTaken(scope, self.held_by if tells_holder else None)
        if self.held_by is None:
            self.record(PartnerKeyReserved(scope=scope, held_by=holder))

    def release(self, scope: Code, holder: UUID) -> None:
        if self.held_by == holder:
            self.record(PartnerKeyReleased(scope=scope, held_by=holder))

    def apply(self, fact: PartnerKeyFact) -> None:
        match fact:
            case PartnerKeyReserved():
                self.held_by = fact.held_by
            case PartnerKeyReleased():
                self.held_by = None
            case _:
                assert_never(fact)
