"""A deal is withdrawn, or expires."""

from datetime import timedelta

import pytest

from chassis.context import Actor
from deal_svc.domain.decision import DealAlreadyLeft, DealNotFound, PartnerNeeded
from prm_contracts.deals import DealApprovalStepDecided, DealExpired, DealFact, DealWithdrawn

from .cast import ADMIN, APPROVED, COLLEAGUE, MANAGER, REJECTED, SELLER, UNTIL, given, personal
from .deals import IN_REVIEW, REGISTERED


@pytest.mark.parametrize("actor", [SELLER, ADMIN])
def test_the_partner_withdraws_its_deal(actor: Actor) -> None:
    deal, note = given(REGISTERED), personal("budget gone")

    deal.withdraw(actor, note)

    assert deal.pending == [DealWithdrawn(withdrawn_by=actor.id, note=note)]


def test_a_withdrawn_deal_closes_the_step_that_waits() -> None:
    deal = given(*IN_REVIEW)

    deal.withdraw(SELLER, None)

    assert deal.pending[0] == DealApprovalStepDecided(
        step=1, outcome="closed", decided_by=SELLER.id
    )


def test_a_deal_withdrawn_twice_is_withdrawn_once() -> None:
    deal = given(REGISTERED)

    deal.withdraw(SELLER, None)
    deal.withdraw(SELLER, None)

    assert len(deal.pending) == 1


def test_a_seller_withdraws_own_deals_only() -> None:
    with pytest.raises(DealNotFound):
        given(REGISTERED).withdraw(COLLEAGUE, None)


def test_the_vendor_withdraws_nothing() -> None:
    with pytest.raises(PartnerNeeded):
        given(REGISTERED).withdraw(MANAGER, None)


@pytest.mark.parametrize("fact", [REJECTED, DealExpired(due_at=UNTIL.at)])
def test_a_deal_that_has_left_is_not_withdrawn(fact: DealFact) -> None:
    with pytest.raises(DealAlreadyLeft):
        given(REGISTERED, APPROVED, fact).withdraw(SELLER, None)


def test_an_approved_deal_expires_at_its_deadline() -> None:
    deal = given(REGISTERED, APPROVED)

    deal.expire(UNTIL.at)

    assert deal.pending == [DealExpired(due_at=UNTIL.at)]


def test_another_deadline_than_the_current_one_expires_nothing() -> None:
    deal = given(REGISTERED, APPROVED)

    deal.expire(UNTIL.at - timedelta(days=30))

    assert deal.pending == []


def test_a_deal_that_is_not_approved_does_not_expire() -> None:
    deal = given(REGISTERED)

    deal.expire(UNTIL.at)

    assert deal.pending == []
