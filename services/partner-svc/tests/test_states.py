"""Every command in every state: it does something, changes nothing, or is refused by its rule."""

from collections.abc import Callable

import pytest

from chassis.testing.states import Outcome, only, outcome_of
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

CHANNEL_MANAGER = Contact(MANAGER.id)
for each in (invited(vendor_invitation()), ACCEPTED):
    CHANNEL_MANAGER.replay(each)

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
        only("does", Status.APPLIED, else_=PartnerNotApplied),
    ),
    "reject": (
        lambda it: it.reject(OPERATIONS, "incomplete", None),
        only("does", Status.APPLIED, else_=PartnerNotApplied),
    ),
    "suspend": (
        lambda it: it.suspend(OPERATIONS, "unpaid", None),
        only("does", Status.ACTIVE, else_=PartnerNotActive),
    ),
    "reinstate": (
        lambda it: it.reinstate(OPERATIONS, None),
        only("does", Status.SUSPENDED, else_=PartnerNotSuspended),
    ),
    "assign a channel manager": (
        lambda it: it.assign_channel_manager(OPERATIONS, CHANNEL_MANAGER),
        only(PartnerTerminated, Status.TERMINATED, else_="does"),
    ),
    "invite a contact": (
        lambda it: it.refuse_ended(),
        only(PartnerTerminated, Status.TERMINATED, else_="nothing"),
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
WHILE_LIVE = only("does", *LIVE, else_=ContactGone)
TO_CONTACTS: dict[str, tuple[Callable[[Contact], None], dict[ContactStatus, Outcome]]] = {
    "accept": (
        lambda it: it.accept(OPERATIONS, NOW),
        only("does", ContactStatus.INVITED, else_=InvitationClosed),
    ),
    "the invitation ends": (
        lambda it: it.expire_invitation(VALID_UNTIL),
        only("does", ContactStatus.INVITED, else_="nothing"),
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
    "mute": (lambda it: it.mute("deals"), only("does", *LIVE, else_="nothing")),
    "deactivate": (lambda it: it.deactivate(COLLEAGUE, "left"), WHILE_LIVE),
    "log on": (
        lambda it: it.refuse_log_on("channel-account-manager"),
        only("nothing", ContactStatus.ACTIVE, else_=ContactNotActive),
    ),
}


@pytest.mark.parametrize("status", PARTNERS)
@pytest.mark.parametrize("command", TO_PARTNERS)
def test_a_partner_in_every_state(command: str, status: Status) -> None:
    partner = Partner(ALPHA)
    for fact in PARTNERS[status]:
        partner.replay(fact)
    tell, outcomes = TO_PARTNERS[command]

    assert partner.status is status
    assert outcome_of(partner, tell) == outcomes[status]


@pytest.mark.parametrize("status", CONTACTS)
@pytest.mark.parametrize("command", TO_CONTACTS)
def test_a_contact_in_every_state(command: str, status: ContactStatus) -> None:
    contact = Contact(MANAGER.id)
    for fact in CONTACTS[status]:
        contact.replay(fact)
    tell, outcomes = TO_CONTACTS[command]

    assert contact.status is status
    assert outcome_of(contact, tell) == outcomes[status]


def test_the_tables_know_every_state() -> None:
    assert PARTNERS.keys() == set(Status)
    assert CONTACTS.keys() == set(ContactStatus)
