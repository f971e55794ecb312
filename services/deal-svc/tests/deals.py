"""Deals as the tests of their decisions want them."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from deal_svc.domain.deal import Deal
from deal_svc.domain.decision import Approver
from deal_svc.domain.terms import DEFAULT_TERMS
from deal_svc.domain.verdict import Seen
from prm_contracts.customers import CustomerLike
from prm_contracts.deals import DealFact

from .cast import (
    CLEARED,
    DEAL,
    LIMITED,
    NOW,
    NOW_KNOWN,
    PARTNER,
    SELLER,
    SERVICE,
    STEP,
    end_customer,
    registered,
    registration,
)

REGISTERED = registered()


SMALL = registered(amount_minor=5_000_000)


IN_REVIEW = (REGISTERED, CLEARED, STEP)


RIVAL_CUSTOMER = CustomerLike(customer_id=UUID(int=71), points=907, evidence={"name-words": 882})


def answered(deal: Deal, on: Seen) -> list[DealFact]:
    deal.answer_conflict_check(on, SERVICE.id, DEFAULT_TERMS, NOW)
    return deal.pending


def kinds(facts: list[DealFact]) -> list[str]:
    return [type(fact).__name__ for fact in facts]


def approve(
    deal: Deal, approver: Approver = LIMITED, *, unchecked: bool = False, **known: Any
) -> None:
    circumstances = replace(NOW_KNOWN, **known)
    deal.approve(approver, circumstances, DEFAULT_TERMS, NOW, unchecked=unchecked)


def reject(deal: Deal, approver: Approver = LIMITED, partner: Any = PARTNER) -> None:
    deal.reject(approver, partner, DEFAULT_TERMS, "tender", None)


def register(partner: Any = PARTNER, **changes: Any) -> Deal:
    deal = Deal(DEAL)
    deal.register(
        SELLER,
        registration(**changes),
        partner=partner,
        customer=end_customer(),
        lines=REGISTERED.lines,
        claims=REGISTERED.claims,
        now=NOW,
    )
    return deal
