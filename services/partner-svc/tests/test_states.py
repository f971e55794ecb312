"""Every command in every state: it does something, changes nothing, or is refused by its rule."""

from collections.abc import Callable
from enum import StrEnum
from typing import Literal, TypeVar

import pytest

from chassis.errors import Refusal
from partner_svc.domain.contact import (
    Contact,
    ContactGone,
    ContactNotActive,
    InvitationClosed,
    Limit,
    Preferences,
)
from partner_svc.domain.contact import Status as ContactStatus
from partner_svc.domain.partner import (
    Partner,
    PartnerNotActive,
    PartnerNotApplied,
    PartnerNotSuspended,
    PartnerTerminated,
    Status,
)
from prm_contracts.partners import (
    ContactDeactivated,
    ContactFact,
    InvitationExpired,
    PartnerApplicationRejected,
    PartnerFact,
    PartnerSuspended,
)

from .cast import (
    ACCEPTED,
    ACTIVATED,
    ALPHA,
    COLLEAGUE,
    MANAGER,
    NOW,
    OPERATIONS,
    REGISTERED,
    VALID_UNTIL,
    invited,
    vendor_invitation,
)

Outcome = Literal["does", "nothing"] | type[Refusal]
CHANNEL_MANAGER = Contact(MANAGER.id)
for each in (invited(vendor_invitation()), ACCEPTED):
    CHANNEL_MANAGER.replay(each)

S = TypeVar("S", bound=StrEnum)


def otherwise(states: type[S], outcome: Outcome, known: dict[S, Outcome]) -> dict[S, Outcome]:
    return {state: known.get(state, outcome) for state in states}


PARTNERS: dict[Status, tuple[PartnerFact, ...]] = {
    Status.APPLIED: (REGISTERED,),
    Status.ACTIVE: (REGISTERED, ACTIVATED),
    Status.SUSPENDED: (
        REGISTERED,
        ACTIVATED,
        PartnerSuspended(suspended_by=OPERATIONS.id, reason_code="unpaid"),
    ),
    Status.TERMINATED: (
        REGISTERED,
        PartnerApplicationRejected(rejected_by=OPERATIONS.id, reason_code="incomplete"),
    ),
}
TO_PARTNERS: dict[str, tuple[Callable[[Partner], None], dict[Status, Outcome]]] = {
    "approve": (
        lambda it: it.approve(OPERATIONS, "2027-1"),
        otherwise(Status, PartnerNotApplied, {Status.APPLIED: "does"}),
    ),
    "reject": (
        lambda it: it.reject(OPERATIONS, "incomplete", None),
        otherwise(Status, PartnerNotApplied, {Status.APPLIED: "does"}),
    ),
    "suspend": (
        lambda it: it.suspend(OPERATIONS, "unpaid", None),
        otherwise(Status, PartnerNotActive, {Status.ACTIVE: "does"}),
    ),
    "reinstate": (
        lambda it: it.reinstate(OPERATIONS, None),
        otherwise(Status, PartnerNotSuspended, {Status.SUSPENDED: "does"}),
    ),
    "assign a channel manager": (
        lambda it: it.assign_channel_manager(OPERATIONS, CHANNEL_MANAGER),
        otherwise(Status, "does", {Status.TERMINATED: PartnerTerminated}),
    ),
    "invite a contact": (
        lambda it: it.refuse_ended(),
        otherwise(Status, "nothing", {Status.TERMINATED: PartnerTerminated}),
    ),
}

VENDOR = invited(vendor_invitation())
CONTACTS: dict[ContactStatus, tuple[ContactFact, ...]] = {
    ContactStatus.INVITED: (VENDOR,),
    ContactStatus.ACTIVE: (VENDOR, ACCEPTED),
    ContactStatus.EXPIRED: (VENDOR, InvitationExpired(due_at=VALID_UNTIL)),
    ContactStatus.DEACTIVATED: (
        VENDOR,
        ACCEPTED,
        ContactDeactivated(reason_code="left", deactivated_by=OPERATIONS.id),
    ),
}
LIVE = (ContactStatus.INVITED, ContactStatus.ACTIVE)
WHILE_LIVE = otherwise(ContactStatus, ContactGone, dict.fromkeys(LIVE, "does"))
TO_CONTACTS: dict[str, tuple[Callable[[Contact], None], dict[ContactStatus, Outcome]]] = {
    "accept": (
        lambda it: it.accept(OPERATIONS, NOW),
        otherwise(ContactStatus, InvitationClosed, {ContactStatus.INVITED: "does"}),
    ),
    "the invitation ends": (
        lambda it: it.expire_invitation(VALID_UNTIL),
        otherwise(ContactStatus, "nothing", {ContactStatus.INVITED: "does"}),
    ),
    "grant a role": (lambda it: it.grant_role(COLLEAGUE, "finance-approver"), WHILE_LIVE),
    "revoke a role": (lambda it: it.revoke_role(COLLEAGUE, "channel-account-manager"), WHILE_LIVE),
    "set a limit": (
        lambda it: it.set_limit(
            COLLEAGUE, Limit(kind="deal-approval", currency="EUR", amount_minor=1)
        ),
        WHILE_LIVE,
    ),
    "set preferences": (
        lambda it: it.set_notification_preferences(MANAGER, Preferences(language="fr")),
        WHILE_LIVE,
    ),
    "mute": (
        lambda it: it.mute("deals"),
        otherwise(ContactStatus, "nothing", dict.fromkeys(LIVE, "does")),
    ),
    "deactivate": (lambda it: it.deactivate(COLLEAGUE, "left"), WHILE_LIVE),
    "log on": (
        lambda it: it.refuse_log_on("channel-account-manager"),
        otherwise(ContactStatus, ContactNotActive, {ContactStatus.ACTIVE: "nothing"}),
    ),
}


def outcome_of(told: Partner | Contact, command: Callable[[], None]) -> Outcome:
    """A refusal must have recorded nothing."""
    try:
        command()
    except Refusal as refusal:
        assert not told.pending
        return type(refusal)
    return "does" if told.pending else "nothing"


@pytest.mark.parametrize("status", PARTNERS)
@pytest.mark.parametrize("command", TO_PARTNERS)
def test_a_partner_in_every_state(command: str, status: Status) -> None:
    partner = Partner(ALPHA)
    for fact in PARTNERS[status]:
        partner.replay(fact)
    tell, outcomes = TO_PARTNERS[command]

    assert partner.status is status
    assert outcome_of(partner, lambda: tell(partner)) == outcomes[status]


@pytest.mark.parametrize("status", CONTACTS)
@pytest.mark.parametrize("command", TO_CONTACTS)
def test_a_contact_in_every_state(command: str, status: ContactStatus) -> None:
    contact = Contact(MANAGER.id)
    for fact in CONTACTS[status]:
        contact.replay(fact)
    tell, outcomes = TO_CONTACTS[command]

    assert contact.status is status
    assert outcome_of(contact, lambda: tell(contact)) == outcomes[status]


def test_the_tables_know_every_state() -> None:
    assert PARTNERS.keys() == set(Status)
    assert CONTACTS.keys() == set(ContactStatus)
