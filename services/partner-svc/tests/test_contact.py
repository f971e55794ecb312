"""Given facts, when a verb, then facts or a refusal."""

from uuid import UUID

import pytest

from chassis.context import Actor
from chassis.errors import RoleNeeded
from partner_svc.domain.contact import (
    Contact,
    ContactNotActive,
    Invitation,
    InvitationClosed,
    InvitationLapsed,
    Limit,
    NotForOneself,
    NotYourInvitation,
    OnlyForOneself,
    Preferences,
    RoleNotHeld,
    RoleOfOtherSide,
    SideUnclear,
    VendorContactNeeded,
)
from prm_contracts.partners import (
    ContactActivated,
    ContactDeactivated,
    ContactFact,
    ContactInvited,
    InvitationExpired,
    LimitSet,
    NotificationPreferencesSet,
    RoleGranted,
    RoleRevoked,
)

from .cast import (
    ACCEPTED,
    ADMIN,
    ALPHA,
    COLLEAGUE,
    LATER,
    MANAGER,
    NOW,
    OPERATIONS,
    SELLER,
    VALID_UNTIL,
    invitation,
    invited,
    vendor_invitation,
)

ANNA = UUID(int=21)
OPERATOR = Actor(UUID(int=17), roles=frozenset({"platform-operator"}))
EXPIRED = InvitationExpired(due_at=VALID_UNTIL)
LEFT = ContactDeactivated(reason_code="left", deactivated_by=OPERATIONS.id)
LIMIT = Limit(kind="deal-approval", currency="EUR", amount_minor=5_000_000)
QUIET = Preferences(language="de", muted=("tasks", "deals", "tasks"))
LIMIT_SET = LimitSet(**dict(LIMIT), set_by=OPERATIONS.id)


def given(*facts: ContactFact) -> Contact:
    contact = Contact(ANNA)
    for fact in facts:
        contact.replay(fact)
    return contact


@pytest.mark.parametrize(
    ("actor", "asked"),
    [
        (ADMIN, invitation("partner-seller")),
        (MANAGER, invitation("partner-admin")),
        (OPERATIONS, invitation("partner-admin", "partner-seller")),
        (OPERATOR, invitation("partner-admin")),
        (OPERATIONS, vendor_invitation("finance-approver")),
        (OPERATOR, vendor_invitation("channel-operations")),
    ],
)
def test_an_invitation_is_valid_for_fourteen_days(actor: Actor, asked: Invitation) -> None:
    contact = given()

    contact.invite(actor, asked, NOW)

    assert contact.pending == [
        ContactInvited(**dict(asked), valid_until=VALID_UNTIL, invited_by=actor.id)
    ]


@pytest.mark.parametrize("actor", [ADMIN, MANAGER, SELLER])
def test_the_vendors_people_are_invited_by_operations_only(actor: Actor) -> None:
    with pytest.raises(RoleNeeded):
        given().invite(actor, vendor_invitation(), NOW)


def test_a_seller_invites_nobody() -> None:
    with pytest.raises(RoleNeeded):
        given().invite(SELLER, invitation(), NOW)


@pytest.mark.parametrize(
    "asked",
    [
        invitation("partner-seller", partner_id=None),
        invitation("channel-operations", side="vendor", partner_id=ALPHA),
    ],
)
def test_a_partners_contact_names_its_partner_and_a_vendors_names_none(asked: Invitation) -> None:
    with pytest.raises(SideUnclear):
        given().invite(OPERATIONS, asked, NOW)


@pytest.mark.parametrize(
    "asked", [invitation("channel-operations"), vendor_invitation("partner-admin")]
)
def test_a_role_of_the_other_side_is_not_given_with_an_invitation(asked: Invitation) -> None:
    with pytest.raises(RoleOfOtherSide):
        given().invite(OPERATIONS, asked, NOW)


@pytest.mark.parametrize("actor", [OPERATIONS, Actor(ANNA, ALPHA)])
def test_who_invited_and_who_is_invited_can_accept(actor: Actor) -> None:
    contact = given(invited(invitation()))

    contact.accept(actor, NOW)

    assert contact.pending == [ContactActivated()]


def test_nobody_else_accepts_an_invitation() -> None:
    with pytest.raises(NotYourInvitation):
        given(invited(invitation())).accept(COLLEAGUE, NOW)


def test_an_invitation_lapses_by_its_date_whether_or_not_the_deadline_fired() -> None:
    with pytest.raises(InvitationLapsed):
        given(invited(invitation())).accept(OPERATIONS, VALID_UNTIL)


@pytest.mark.parametrize("closed", [ACCEPTED, EXPIRED, LEFT])
def test_only_an_open_invitation_can_be_accepted(closed: ContactFact) -> None:
    with pytest.raises(InvitationClosed):
        given(invited(invitation()), closed).accept(OPERATIONS, NOW)


def test_an_invitation_that_nobody_accepted_expires() -> None:
    contact = given(invited(invitation()))

    contact.expire_invitation(VALID_UNTIL)

    assert contact.pending == [EXPIRED]


@pytest.mark.parametrize("closed", [ACCEPTED, EXPIRED, LEFT])
def test_a_late_or_repeated_deadline_changes_nothing(closed: ContactFact) -> None:
    contact = given(invited(invitation()), closed)

    contact.expire_invitation(VALID_UNTIL)

    assert contact.pending == []


def test_a_deadline_that_is_not_the_invitations_changes_nothing() -> None:
    contact = given(invited(invitation()))

    contact.expire_invitation(LATER)

    assert contact.pending == []


def test_a_role_is_granted_and_revoked_once_however_often_it_is_asked() -> None:
    contact = given(invited(invitation("partner-seller")), ACCEPTED)

    for _ in range(2):
        contact.grant_role(ADMIN, "partner-admin")
    for _ in range(2):
        contact.revoke_role(ADMIN, "partner-admin")

    assert contact.pending == [
        RoleGranted(role="partner-admin", granted_by=ADMIN.id),
        RoleRevoked(role="partner-admin", revoked_by=ADMIN.id),
    ]
    assert contact.roles == ("partner-seller",)


def test_a_role_of_the_other_side_is_not_granted() -> None:
    with pytest.raises(RoleOfOtherSide):
        given(invited(invitation())).grant_role(OPERATIONS, "finance-approver")


def test_only_administrators_of_a_side_change_its_roles() -> None:
    contact = given(invited(vendor_invitation()), ACCEPTED)

    with pytest.raises(RoleNeeded):
        contact.grant_role(MANAGER, "channel-operations")


def test_nobody_changes_their_own_vendor_roles_or_limits() -> None:
    contact = given(invited(vendor_invitation("channel-operations")), ACCEPTED)
    oneself = Actor(ANNA, roles=frozenset({"channel-operations"}))

    with pytest.raises(NotForOneself):
        contact.grant_role(oneself, "finance-approver")
    with pytest.raises(NotForOneself):
        contact.set_limit(oneself, LIMIT)


def test_a_limit_replaces_the_one_of_the_same_kind_and_currency() -> None:
    dollars = Limit(kind="deal-approval", currency="USD", amount_minor=1)
    contact = given(invited(vendor_invitation()), ACCEPTED, LIMIT_SET)

    contact.set_limit(OPERATIONS, dollars)
    contact.set_limit(OPERATIONS, LIMIT.model_copy(update={"amount_minor": 7}))

    assert [limit.amount_minor for limit in contact.limits] == [1, 7]


def test_a_limit_set_twice_is_set_once() -> None:
    contact = given(invited(vendor_invitation()), ACCEPTED, LIMIT_SET)

    contact.set_limit(OPERATIONS, LIMIT)

    assert contact.pending == []


def test_only_the_vendors_people_hold_limits() -> None:
    with pytest.raises(VendorContactNeeded):
        given(invited(invitation()), ACCEPTED).set_limit(OPERATIONS, LIMIT)


def test_a_contact_is_deactivated_with_a_reason() -> None:
    contact = given(invited(invitation()), ACCEPTED)

    contact.deactivate(OPERATIONS, "left")

    assert contact.pending == [LEFT]


def test_only_administrators_of_a_side_deactivate_its_contacts() -> None:
    with pytest.raises(RoleNeeded):
        given(invited(vendor_invitation()), ACCEPTED).deactivate(MANAGER, "left")


def test_a_person_chooses_language_and_e_mails_once() -> None:
    contact = given(invited(invitation()), ACCEPTED)

    contact.set_notification_preferences(Actor(ANNA), QUIET)
    contact.set_notification_preferences(Actor(ANNA), QUIET)

    assert contact.pending == [NotificationPreferencesSet(language="de", muted=("deals", "tasks"))]


def test_nobody_chooses_for_others() -> None:
    with pytest.raises(OnlyForOneself):
        given(invited(invitation()), ACCEPTED).set_notification_preferences(OPERATIONS, QUIET)


def test_an_active_contact_logs_on_in_a_role_that_it_holds() -> None:
    given(invited(invitation("partner-seller")), ACCEPTED).refuse_log_on("partner-seller")


def test_nobody_logs_on_in_a_role_that_they_do_not_hold() -> None:
    with pytest.raises(RoleNotHeld):
        given(invited(invitation("partner-seller")), ACCEPTED).refuse_log_on("partner-admin")


@pytest.mark.parametrize("facts", [(), (EXPIRED,), (ACCEPTED, LEFT)])
def test_only_an_active_contact_logs_on(facts: tuple[ContactFact, ...]) -> None:
    with pytest.raises(ContactNotActive):
        given(invited(invitation("partner-seller")), *facts).refuse_log_on("partner-seller")
