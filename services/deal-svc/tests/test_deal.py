"""Given facts, when a verb, then facts or a refusal."""

import pytest

from deal_svc.domain.deal import Deal, families_of
from deal_svc.domain.registration import PartnerNotActive
from deal_svc.domain.verdict import Seen
from prm_contracts.deals import (
    Claim,
    ConflictCheckRequested,
    DealApproved,
    DealConflictsFound,
    DealLine,
    DealQueued,
    DealRegistered,
    DealRejected,
)

from .cast import (
    APPROVED,
    BACKUP,
    CHECK,
    COLLEAGUE,
    DIMENSIONS,
    FIREWALL,
    FOUND,
    LINE,
    OUTSIDE,
    PARTNER,
    PROMOTED,
    QUEUED,
    REQUESTED,
    SELLER,
    SHARED,
    SUSPENDED,
    UNTIL,
    WAIVABLE,
    checked,
    given,
    registered,
    seen,
)
from .deals import IN_REVIEW, REGISTERED, RIVAL_CUSTOMER, SMALL, answered, kinds, register


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
