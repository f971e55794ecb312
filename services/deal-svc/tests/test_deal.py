"""Given facts, when a verb, then facts or a refusal."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from chassis.context import Actor
from deal_svc.domain.deal import Deal, families_of
from deal_svc.domain.decision import (
    Approver,
    ApproverLimitExceeded,
    ConflictCheckPending,
    ConflictCheckStale,
    DealAlreadyLeft,
    DealNotFound,
    DealNotInReview,
    DeciderRoleNeeded,
    FourEyesNeeded,
    PartnerCannotDecide,
    PartnerNeeded,
)
from deal_svc.domain.exclusivity import DealNotAtHead
from deal_svc.domain.registration import PartnerNotActive
from deal_svc.domain.terms import DEFAULT_TERMS
from deal_svc.domain.verdict import Seen
from prm_contracts.customers import CustomerLike
from prm_contracts.deals import (
    Claim,
    ConflictCheckRequested,
    DealApprovalStepDecided,
    DealApproved,
    DealConflictsFound,
    DealExpired,
    DealFact,
    DealLine,
    DealQueued,
    DealRegistered,
    DealRejected,
    DealWithdrawn,
)

from .cast import (
    ADMIN,
    APPROVED,
    BACKUP,
    CHECK,
    CLEARED,
    COLLEAGUE,
    DEAL,
    DIMENSIONS,
    FIREWALL,
    FOUND,
    LIMITED,
    LINE,
    MANAGER,
    NOW,
    NOW_KNOWN,
    OPERATOR,
    OUTSIDE,
    PARTNER,
    PROMOTED,
    QUEUED,
    REJECTED,
    REQUESTED,
    SELLER,
    SERVICE,
    SHARED,
    STEP,
    SUSPENDED,
    UNTIL,
    WAIVABLE,
    checked,
    end_customer,
    given,
    personal,
    registered,
    registration,
    seen,
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


def test_a_registered_deal_says_all_that_later_decisions_rest_on() -> None:
    deal = register()

    assert deal.pending == [REGISTERED]
    assert deal.tenant_id == PARTNER.partner_id


def test_a_deal_may_be_registered_for_a_colleague() -> None:
    [fact] = register(seller_id=COLLEAGUE.id).pending

    assert isinstance(fact, DealRegistered)
    assert (fact.seller_id, fact.registered_by) == (COLLEAGUE.id, SELLER.id)


def test_only_an_active_partner_registers_deals() -> None:
    with pytest.raises(PartnerNotActive):
        register(partner=SUSPENDED)


def test_a_clear_deal_up_to_the_limit_of_the_rule_is_approved() -> None:
    facts = answered(given(SMALL), seen(checked(SHARED)))

    assert kinds(facts) == ["DealCleared", "DealApproved"]
    approved = facts[1]
    assert isinstance(approved, DealApproved)
    assert (approved.exclusive_until.at, approved.discount_bp) == (UNTIL.at, 800)
    assert (approved.decision.rule_id, approved.decision.policy_version) == (
        "clear-and-small",
        "default-1",
    )
    assert approved.decision.is_automatic
    assert not approved.is_unchecked


@pytest.mark.parametrize(
    "deal", [registered(amount_minor=5_000_001), registered(5_000_000, currency="GBP")]
)
def test_a_clear_deal_above_the_limit_of_the_rule_asks_a_person(deal: DealRegistered) -> None:
    facts = answered(given(deal), seen(checked()))

    assert kinds(facts) == ["DealCleared", "DealApprovalStepOpened"]


def test_a_territorial_conflict_rejects_with_its_rule() -> None:
    facts = answered(given(REGISTERED), seen(checked(SHARED, OUTSIDE)))

    assert kinds(facts) == ["DealConflictsFound", "DealRejected"]
    assert isinstance(facts[0], DealConflictsFound)
    assert isinstance(facts[1], DealRejected)
    assert facts[0].conflicts == (OUTSIDE, SHARED)
    decision = facts[1].decision
    assert (decision.reason_code, decision.rule_id) == ("territory", "outside-territory")


def test_a_deal_behind_another_waits_in_line() -> None:
    facts = answered(given(SMALL), seen(checked(), place=3))

    assert kinds(facts) == ["DealConflictsFound", "DealQueued"]
    assert facts[1] == DealQueued(place=3)
    assert isinstance(facts[0], DealConflictsFound)
    assert facts[0].conflicts[0].evidence == {"place": 3}


def test_a_like_customer_of_another_partner_is_for_a_person_to_look_at() -> None:
    facts = answered(given(SMALL), seen(checked(), rivals=(RIVAL_CUSTOMER,), place=2))

    assert kinds(facts) == ["DealConflictsFound", "DealApprovalStepOpened"]
    assert isinstance(facts[0], DealConflictsFound)
    assert [conflict.kind for conflict in facts[0].conflicts] == [
        "POSSIBLE_DUPLICATE",
        "DUPLICATE_DEAL",
    ]
    assert facts[0].conflicts[0].evidence["points"] == 907


def test_what_a_channel_manager_decides_opens_a_step() -> None:
    facts = answered(given(SMALL), seen(checked(WAIVABLE)))

    assert kinds(facts) == ["DealConflictsFound", "DealApprovalStepOpened"]


def test_a_partner_that_is_no_longer_one_is_ineligible() -> None:
    facts = answered(given(SMALL), seen(checked(), partner_status="rejected"))

    assert isinstance(facts[1], DealRejected)
    assert facts[1].decision.reason_code == "partner-ineligible"


def test_the_same_input_gives_the_same_hash_and_another_another() -> None:
    hashes = []
    for place in (1, 1, 2):
        fact = answered(given(REGISTERED), seen(checked(), place=place))[0]
        assert not isinstance(fact, DealRegistered)
        hashes.append(getattr(fact, "decision").input_hash)  # noqa: B009 - of either fact

    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize(
    ("deal", "on"),
    [
        (given(REGISTERED), seen(checked(subject_version=2))),
        (given(REGISTERED, QUEUED, PROMOTED, REQUESTED), seen(checked(subject_version=1))),
        (given(*IN_REVIEW), seen(checked())),
        (given(REGISTERED, APPROVED), seen(checked(alignment_version=2), newest_alignment=2)),
        (given(REGISTERED, FOUND, QUEUED), seen(checked(alignment_version=2))),
    ],
)
def test_late_superseded_and_repeated_answers_change_nothing(deal: Deal, on: Seen) -> None:
    assert answered(deal, on) == []


def test_an_answer_by_an_older_map_than_the_newest_changes_nothing() -> None:
    assert answered(given(SMALL), seen(checked(), newest_alignment=2)) == []


def test_nothing_is_decided_while_the_partner_is_suspended() -> None:
    assert answered(given(SMALL), seen(checked(), partner_status="suspended")) == []


def test_a_newer_map_decides_a_deal_in_review_anew() -> None:
    newer = seen(checked(alignment_version=2), newest_alignment=2)
    behind = seen(checked(alignment_version=2), newest_alignment=2, place=2)

    again = answered(given(*IN_REVIEW), newer)
    queued = answered(given(*IN_REVIEW), behind)

    assert kinds(again) == ["DealCleared"]  # the step that waits goes on waiting
    assert kinds(queued) == ["DealConflictsFound", "DealApprovalStepDecided", "DealQueued"]


def test_a_promoted_deal_asks_for_another_check_with_all_dimensions() -> None:
    deal = given(REGISTERED, FOUND, QUEUED)

    deal.promote(place=1)

    assert deal.pending == [PROMOTED, REQUESTED]
    assert REQUESTED.dimensions == DIMENSIONS


@pytest.mark.parametrize(
    ("deal", "place"), [(given(REGISTERED, FOUND, QUEUED), 2), (given(*IN_REVIEW), 1)]
)
def test_only_a_waiting_deal_at_the_head_of_all_its_lines_is_promoted(
    deal: Deal, place: int
) -> None:
    deal.promote(place)

    assert deal.pending == []


@pytest.mark.parametrize(
    ("deal", "newest", "asks"),
    [
        (given(REGISTERED), 1, True),
        (given(*IN_REVIEW), 2, True),
        (given(*IN_REVIEW), 1, False),
        (given(REGISTERED, FOUND, QUEUED), 2, False),
    ],
)
def test_another_check_is_asked_for_where_one_is_owed_or_stale(
    deal: Deal, newest: int, asks: bool
) -> None:
    deal.request_check("requested", newest)

    assert [isinstance(fact, ConflictCheckRequested) for fact in deal.pending] == [True] * asks


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


def test_families_are_named_once_each_in_the_order_of_the_lines() -> None:
    lines = [
        DealLine(product_id=product, family=family, quantity=1, unit_price_minor=1)
        for product, family in ((FIREWALL, "firewall"), (BACKUP, "backup"), (LINE, "firewall"))
    ]

    assert families_of(lines) == ("firewall", "backup")


def test_a_deal_asks_about_the_families_of_its_claims() -> None:
    claims = (
        Claim(exclusivity_id=LINE, version=1, family="backup"),
        Claim(exclusivity_id=CHECK, version=4, family="firewall"),
    )

    assert given(registered(claims=claims)).dimensions().families == ("backup", "firewall")
