"""A person approves a deal, or rejects it."""

import pytest

from chassis.context import Actor
from deal_svc.domain.decision import (
    Approver,
    ApproverLimitExceeded,
    ConflictCheckPending,
    ConflictCheckStale,
    DealNotInReview,
    DeciderRoleNeeded,
    FourEyesNeeded,
    PartnerCannotDecide,
)
from deal_svc.domain.exclusivity import DealNotAtHead
from deal_svc.domain.registration import PartnerNotActive
from prm_contracts.deals import DealApprovalStepDecided, DealApproved, DealFact

from .cast import (
    ADMIN,
    APPROVED,
    FOUND,
    MANAGER,
    OPERATOR,
    QUEUED,
    REJECTED,
    SELLER,
    SUSPENDED,
    given,
)
from .deals import IN_REVIEW, REGISTERED, approve, kinds, reject


def test_a_deal_in_review_is_approved_by_a_person() -> None:
    deal = given(*IN_REVIEW)

    approve(deal)

    by = MANAGER.id
    assert deal.pending[0] == DealApprovalStepDecided(step=1, outcome="approved", decided_by=by)
    assert isinstance(deal.pending[1], DealApproved)
    assert not deal.pending[1].decision.is_automatic


@pytest.mark.parametrize("facts", [(QUEUED,), (APPROVED,), (REJECTED,)])
def test_only_a_deal_in_review_is_approved(facts: tuple[DealFact, ...]) -> None:
    with pytest.raises(DealNotInReview):
        approve(given(*IN_REVIEW, *facts))


def test_a_deal_that_is_being_checked_is_approved_with_the_flag_unchecked_only() -> None:
    with pytest.raises(ConflictCheckPending):
        approve(given(REGISTERED))
    deal = given(REGISTERED)

    approve(deal, unchecked=True)

    [approved] = deal.pending
    assert isinstance(approved, DealApproved)
    assert approved.is_unchecked


def test_partners_do_not_decide() -> None:
    with pytest.raises(PartnerCannotDecide):
        approve(given(*IN_REVIEW), Approver(ADMIN, 20_000_000))


def test_other_roles_do_not_decide() -> None:
    with pytest.raises(DeciderRoleNeeded):
        approve(given(*IN_REVIEW), Approver(OPERATOR, 20_000_000))


def test_who_registered_a_deal_does_not_decide_on_it() -> None:
    same = Actor(SELLER.id, roles=MANAGER.roles)

    with pytest.raises(FourEyesNeeded):
        approve(given(*IN_REVIEW), Approver(same, 20_000_000))


@pytest.mark.parametrize("limit", [None, 17_999_999])
def test_an_amount_above_the_approvers_limit_is_not_approved(limit: int | None) -> None:
    with pytest.raises(ApproverLimitExceeded):
        approve(given(*IN_REVIEW), Approver(MANAGER, limit))


def test_a_deal_of_a_suspended_partner_is_not_decided() -> None:
    with pytest.raises(PartnerNotActive):
        approve(given(*IN_REVIEW), partner=SUSPENDED)
    with pytest.raises(PartnerNotActive):
        reject(given(*IN_REVIEW), partner=SUSPENDED)


def test_a_check_by_an_older_map_does_not_approve() -> None:
    with pytest.raises(ConflictCheckStale):
        approve(given(*IN_REVIEW), newest_alignment=2)


def test_only_the_head_of_all_lines_is_approved() -> None:
    with pytest.raises(DealNotAtHead):
        approve(given(*IN_REVIEW), place=2)


def test_a_person_rejects_without_a_limit() -> None:
    deal = given(*IN_REVIEW)

    reject(deal, Approver(MANAGER, None))

    assert kinds(deal.pending) == ["DealApprovalStepDecided", "DealRejected"]


def test_a_waiting_deal_may_be_rejected() -> None:
    deal = given(REGISTERED, FOUND, QUEUED)

    reject(deal)

    assert kinds(deal.pending) == ["DealRejected"]


def test_a_deal_that_is_being_checked_is_not_rejected() -> None:
    with pytest.raises(DealNotInReview):
        reject(given(REGISTERED))


def test_partners_do_not_reject() -> None:
    with pytest.raises(PartnerCannotDecide):
        reject(given(*IN_REVIEW), Approver(ADMIN, None))
