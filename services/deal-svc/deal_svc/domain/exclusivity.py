"""The waiting line for one customer, product family and country: first claimed, first served."""

from dataclasses import dataclass
from datetime import datetime
from typing import assert_never
from uuid import UUID, uuid5

from chassis.aggregates import Aggregate
from chassis.errors import Conflict, NotFound
from prm_contracts.deals import (
    ExclusivityClaimed,
    ExclusivityExpired,
    ExclusivityFact,
    ExclusivityGranted,
    ExclusivityReleased,
    Leaving,
    Site,
)
from prm_contracts.facts import Value
from prm_contracts.values import Code, Country

NAMESPACE = UUID("b1f7c1de-8a52-5d0f-b3a7-2e9c4d7a6f10")


class ExclusivityNotFound(NotFound):
    """Nobody has claimed this customer, family and country yet."""


@dataclass(eq=False)
class DealNotAtHead(Conflict):
    """Only the head of all its lines gets exclusivity: wait until those before it have left."""

    deal_id: UUID
    place: int


class ExclusivityKey(Value):
    customer_id: UUID
    country: Country
    family: Code


class LiveClaim(Value):
    """`version`: of the line's stream when it was claimed; it gives the order."""

    deal_id: UUID
    partner_id: UUID
    site: Site | None
    version: int

    def clashes_with(self, other: "LiveClaim") -> bool:
        return self.site is None or other.site is None or self.site == other.site


def exclusivity_id(key: ExclusivityKey) -> UUID:
    """Spelt out, so that a field added to the key does not move every line."""
    return uuid5(NAMESPACE, f"{key.customer_id} {key.country} {key.family}")


class Exclusivity(Aggregate[ExclusivityFact]):
    not_found = ExclusivityNotFound
    claims: tuple[LiveClaim, ...] = ()  # by version: the order of the line
    holders: tuple[UUID, ...] = ()  # several, where their sites differ

    def claim_of(self, deal_id: UUID) -> LiveClaim | None:
        return next((claim for claim in self.claims if claim.deal_id == deal_id), None)

    def place_of(self, deal_id: UUID) -> int:
        """The number of live claims ahead that clash with it, plus one; 0: it has no live claim."""
        mine = self.claim_of(deal_id)
        return 1 + len(self._ahead_of(mine)) if mine else 0

    def claim(
        self, deal_id: UUID, partner_id: UUID, key: ExclusivityKey, site: Site | None
    ) -> None:
        if self.claim_of(deal_id) is None:
            self.record(
                ExclusivityClaimed(
                    deal_id=deal_id,
                    partner_id=partner_id,
                    customer_id=key.customer_id,
                    family=key.family,
                    country=key.country,
                    site=site,
                )
            )

    def grant(self, deal_id: UUID, exclusive_until: datetime) -> None:
        place = self.place_of(deal_id)
        if place != 1:
            raise DealNotAtHead(deal_id, place)
        if deal_id not in self.holders:
            self.record(ExclusivityGranted(deal_id=deal_id, exclusive_until=exclusive_until))

    def release(self, deal_id: UUID, reason: Leaving) -> None:
        if mine := self.claim_of(deal_id):
            moved_up = self._moved_up_without(mine)
            self.record(ExclusivityReleased(deal_id=deal_id, reason=reason, moved_up=moved_up))

    def expire(self, deal_id: UUID, due_at: datetime) -> None:
        if mine := self.claim_of(deal_id):
            moved_up = self._moved_up_without(mine)
            self.record(ExclusivityExpired(deal_id=deal_id, due_at=due_at, moved_up=moved_up))

    def _ahead_of(self, mine: LiveClaim) -> list[LiveClaim]:
        return [c for c in self.claims if c.version < mine.version and c.clashes_with(mine)]

    def _moved_up_without(self, leaving: LiveClaim) -> tuple[UUID, ...]:
        """Those whose only clashing claim ahead is the one that leaves."""
        return tuple(claim.deal_id for claim in self.claims if self._ahead_of(claim) == [leaving])

    def apply(self, fact: ExclusivityFact) -> None:
        match fact:
            case ExclusivityClaimed():
                claim = LiveClaim(
                    deal_id=fact.deal_id,
                    partner_id=fact.partner_id,
                    site=fact.site,
                    version=self.version + 1,
                )
                self.claims = (*self.claims, claim)
            case ExclusivityGranted():
                self.holders = (*self.holders, fact.deal_id)
            case ExclusivityReleased() | ExclusivityExpired():
                self.claims = tuple(c for c in self.claims if c.deal_id != fact.deal_id)
                self.holders = tuple(h for h in self.holders if h != fact.deal_id)
            case _:
                assert_never(fact)
