"""Whenever a fact, then these people are told this."""

from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from chassis.delivery import Errand
from notify_svc import policies, projections
from notify_svc.domain import notification_id
from notify_svc.worker import POLICIES
from prm_contracts.deals import (
    DealApprovalStepOpened,
    DealApproved,
    DealExpired,
    DealPromoted,
    DealQueued,
    DealRejected,
    DealWithdrawn,
)
from prm_contracts.facts import Fact
from prm_contracts.notifications import NotificationSent
from prm_contracts.partners import (
    ChannelManagerAssigned,
    ContactActivated,
    ContactDeactivated,
    PartnerActivated,
    PartnerReinstated,
    PartnerSuspended,
)
from prm_contracts.values import Deadline, Decision

from .cast import (
    ALPHA,
    COLLEAGUE,
    DEAL,
    FINANCE,
    MANAGER,
    NOW,
    OTHER_MANAGER,
    REGISTERED,
    SELLER,
    recorded,
)
from .conftest import Inbox, Policy

UNTIL = NOW + timedelta(days=90)
DECISION = Decision(
    decided_by=MANAGER,
    is_automatic=False,
    reason_code="duplicate",
    rule_id="duplicate-deal",
    policy_version="default-1",
    input_hash="0" * 64,
)
CUSTOMER = {"customer": "Hoffmann Logistik GmbH"}
APPROVED = DealApproved(
    decision=DECISION,
    exclusive_from=NOW,
    exclusive_until=Deadline(
        at=UNTIL, local_date=UNTIL.date(), zone="Europe/Berlin", calendar_version="test"
    ),
    discount_bp=800,
)
STEP = DealApprovalStepOpened(
    step=1, role="channel-account-manager", amount_minor=18_000_000, currency="EUR"
)
FINANCE_STEP = STEP.model_copy(update={"role": "finance-approver"})
DUE = {"amount_minor": 18_000_000, "currency": "EUR"} | CUSTOMER


class Reaction(NamedTuple):
    """`about`: the aggregate of the fact; `people`: exactly those who are told."""

    policy: Policy
    fact: Fact
    about: UUID
    template: str
    params: dict[str, Any]
    people: set[UUID]


REACTIONS = [
    Reaction(policies.welcome_contact, ContactActivated(), SELLER, "welcome", {}, {SELLER}),
    Reaction(
        policies.tell_partner_activated,
        PartnerActivated(approved_by=MANAGER, terms_version="2027"),
        ALPHA,
        "partner-activated",
        {},
        {SELLER, COLLEAGUE},
    ),
    Reaction(
        policies.tell_partner_suspended,
        PartnerSuspended(suspended_by=MANAGER, reason_code="unpaid"),
        ALPHA,
        "partner-suspended",
        {"reason": "unpaid"},
        {SELLER, COLLEAGUE},
    ),
    Reaction(
        policies.tell_partner_reinstated,
        PartnerReinstated(reinstated_by=MANAGER),
        ALPHA,
        "partner-reinstated",
        {},
        {SELLER, COLLEAGUE},
    ),
    Reaction(
        policies.tell_assigned_manager,
        ChannelManagerAssigned(contact_id=MANAGER, assigned_by=FINANCE),
        ALPHA,
        "partner-assigned",
        {},
        {MANAGER},
    ),
    Reaction(
        policies.confirm_registration, REGISTERED, DEAL, "deal-registered", CUSTOMER, {SELLER}
    ),
    Reaction(policies.ask_for_decision, STEP, DEAL, "deal-decision-due", DUE, {MANAGER}),
    Reaction(policies.ask_for_decision, FINANCE_STEP, DEAL, "deal-decision-due", DUE, {FINANCE}),
    Reaction(
        policies.tell_place_in_line,
        DealQueued(place=2),
        DEAL,
        "deal-queued",
        {"place": 2} | CUSTOMER,
        {SELLER},
    ),
    Reaction(
        policies.tell_promotion,
        DealPromoted(subject_version=2),
        DEAL,
        "deal-promoted",
        CUSTOMER,
        {SELLER},
    ),
    Reaction(
        policies.tell_approval,
        APPROVED,
        DEAL,
        "deal-approved",
        {"exclusive_until": UNTIL.date().isoformat(), "discount_bp": 800} | CUSTOMER,
        {SELLER},
    ),
    Reaction(
        policies.tell_rejection,
        DealRejected(decision=DECISION),
        DEAL,
        "deal-rejected",
        {"reason": "duplicate", "rule": "duplicate-deal"} | CUSTOMER,
        {SELLER},
    ),
    Reaction(
        policies.tell_expiry, DealExpired(due_at=UNTIL), DEAL, "deal-expired", CUSTOMER, {SELLER}
    ),
    Reaction(
        policies.tell_manager_of_expiry,
        DealExpired(due_at=UNTIL),
        DEAL,
        "partner-deal-expired",
        CUSTOMER,
        {MANAGER},
    ),
    Reaction(
        policies.tell_manager_of_withdrawal,
        DealWithdrawn(withdrawn_by=SELLER),
        DEAL,
        "partner-deal-withdrawn",
        CUSTOMER,
        {MANAGER},
    ),
]


@pytest.mark.parametrize("reaction", REACTIONS, ids=lambda reaction: reaction.template)
async def test_a_fact_tells_whom_it_concerns(inbox: Inbox, reaction: Reaction) -> None:
    cause = recorded(reaction.fact, reaction.about, 4)

    await inbox.react(reaction.policy, cause)

    told = inbox.told()
    assert {one.recipient_id for one in told} == reaction.people
    assert all((one.template, one.params) == (reaction.template, reaction.params) for one in told)
    assert {one.cause.event_id for one in told} == {cause.event_id}


def test_every_policy_of_the_worker_is_told_of_here() -> None:
    assert {policy.then for policy in POLICIES} == {reaction.policy for reaction in REACTIONS}


def test_every_message_has_a_text_that_takes_its_parameters() -> None:
    for reaction in REACTIONS:
        assert "{" not in projections.TEXTS[reaction.template].format(**reaction.params)
    assert set(projections.TEXTS) == {reaction.template for reaction in REACTIONS}


async def test_everybody_with_the_role_is_asked_where_no_manager_is_assigned(inbox: Inbox) -> None:
    gone = ContactDeactivated(reason_code="left", deactivated_by=FINANCE)
    inbox.show(projections.contacts(recorded(gone, MANAGER, 3)))

    await inbox.react(policies.ask_for_decision, recorded(STEP, DEAL, 4))

    assert [one.recipient_id for one in inbox.told()] == [OTHER_MANAGER]


async def test_the_outcome_of_an_e_mail_is_recorded_once(inbox: Inbox) -> None:
    cause = recorded(ContactActivated(), SELLER, 2)
    await inbox.react(policies.welcome_contact, cause)
    mailed = NotificationSent(message_id="<1@partners.example>", language="en")
    errand = Errand(notification_id(cause.event_id, SELLER, "in-app"), 1, 1, timedelta())

    for _ in range(2):
        await inbox.run(policies.record_mail, errand, mailed)

    assert inbox.facts(NotificationSent) == [mailed]


@pytest.mark.parametrize(("ago", "people"), [(24, 0), (23, 3)])
async def test_nobody_is_told_what_an_initial_load_says_of_the_past(
    inbox: Inbox, ago: int, people: int
) -> None:
    then = NOW - timedelta(hours=ago)
    activated = PartnerActivated(approved_by=MANAGER, terms_version="2027")

    await inbox.react(
        policies.welcome_contact, recorded(ContactActivated(), SELLER, 2, occurred_at=then)
    )
    await inbox.react(
        policies.tell_partner_activated, recorded(activated, ALPHA, 2, occurred_at=then)
    )

    assert len(inbox.told()) == people


async def test_a_deal_that_was_never_seen_tells_nobody(inbox: Inbox) -> None:
    unknown = UUID(int=99)

    await inbox.react(policies.tell_expiry, recorded(DealExpired(due_at=UNTIL), unknown, 4))
    await inbox.react(policies.tell_manager_of_expiry, recorded(DealExpired(due_at=UNTIL), unknown))

    assert inbox.told() == []
