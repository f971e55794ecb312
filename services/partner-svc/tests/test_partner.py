"""Given facts, when a verb, then facts or a refusal."""

import pytest

from partner_svc.domain.contact import Contact
from partner_svc.domain.partner import (
    CodeUnknown,
    FourEyesNeeded,
    NotAChannelManager,
    Partner,
    PartnerNotActive,
    PartnerNotApplied,
    PartnerNotSuspended,
    PartnerTerminated,
    Profile,
    unique_keys,
)
from prm_contracts.partners import (
    ChannelManagerAssigned,
    ContactDeactivated,
    ContactFact,
    PartnerActivated,
    PartnerApplicationRejected,
    PartnerFact,
    PartnerRegistered,
    PartnerReinstated,
    PartnerSuspended,
    SimilarPartner,
)

from .cast import (
    ACCEPTED,
    ACTIVATED,
    ALPHA,
    BOREALIS,
    COLLEAGUE,
    MANAGER,
    OPERATIONS,
    PROFILE,
    REGISTERED,
    invitation,
    invited,
    personal,
    vendor_invitation,
)

REJECTED = PartnerApplicationRejected(rejected_by=OPERATIONS.id, reason_code="incomplete")
SUSPENDED = PartnerSuspended(suspended_by=OPERATIONS.id, reason_code="unpaid-fees")


def given(*facts: PartnerFact) -> Partner:
    partner = Partner(ALPHA)
    for fact in facts:
        partner.replay(fact)
    return partner


def contact(*facts: ContactFact) -> Contact:
    person = Contact(MANAGER.id)
    for fact in facts:
        person.replay(fact)
    return person


def test_a_company_applies_with_the_partners_that_it_resembles() -> None:
    partner = given()
    similar = (SimilarPartner(partner_id=BOREALIS, points=950),)

    partner.register(MANAGER, PROFILE, similar)

    assert partner.pending == [
        PartnerRegistered(**dict(PROFILE), similar_to=similar, registered_by=MANAGER.id)
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("country", "XQ"),
        ("currency", "XXX"),
        ("time_zone", "Europe/Atlantis"),
        ("subdivision", "AT-9"),
    ],
)
def test_a_code_that_does_not_exist_is_refused_with_the_name_of_its_field(
    field: str, value: str
) -> None:
    profile = Profile.model_validate(dict(PROFILE) | {field: value})

    with pytest.raises(CodeUnknown) as refused:
        given().register(MANAGER, profile, ())

    assert (refused.value.field, refused.value.value) == (field, value)


def test_a_company_without_a_subdivision_may_apply() -> None:
    partner = given()

    partner.register(MANAGER, Profile.model_validate(dict(PROFILE) | {"subdivision": None}), ())

    assert len(partner.pending) == 1


def test_operations_approve_an_application() -> None:
    partner = given(REGISTERED)

    partner.approve(OPERATIONS, "2027-1")

    assert partner.pending == [PartnerActivated(approved_by=OPERATIONS.id, terms_version="2027-1")]


def test_who_registered_a_partner_cannot_approve_it() -> None:
    partner = given(REGISTERED)

    with pytest.raises(FourEyesNeeded):
        partner.approve(MANAGER, "2027-1")


@pytest.mark.parametrize("decided", [ACTIVATED, REJECTED])
def test_only_an_open_application_can_be_decided(decided: PartnerFact) -> None:
    partner = given(REGISTERED, decided)

    with pytest.raises(PartnerNotApplied):
        partner.approve(OPERATIONS, "2027-1")
    with pytest.raises(PartnerNotApplied):
        partner.reject(OPERATIONS, "incomplete", None)


def test_an_application_is_rejected_with_a_reason() -> None:
    partner, note = given(REGISTERED), personal("papers missing")

    partner.reject(OPERATIONS, "incomplete", note)

    assert partner.pending == [
        PartnerApplicationRejected(rejected_by=OPERATIONS.id, reason_code="incomplete", note=note)
    ]


def test_an_active_partner_is_suspended_with_a_reason() -> None:
    partner = given(REGISTERED, ACTIVATED)

    partner.suspend(OPERATIONS, "unpaid-fees", None)

    assert partner.pending == [SUSPENDED]


def test_only_an_active_partner_can_be_suspended() -> None:
    with pytest.raises(PartnerNotActive):
        given(REGISTERED).suspend(OPERATIONS, "unpaid-fees", None)


def test_a_suspended_partner_is_reinstated() -> None:
    partner = given(REGISTERED, ACTIVATED, SUSPENDED)

    partner.reinstate(COLLEAGUE, None)

    assert partner.pending == [PartnerReinstated(reinstated_by=COLLEAGUE.id)]


def test_only_a_suspended_partner_can_be_reinstated() -> None:
    with pytest.raises(PartnerNotSuspended):
        given(REGISTERED, ACTIVATED).reinstate(OPERATIONS, None)


def test_a_partner_has_one_channel_manager_and_the_new_one_replaces_the_old() -> None:
    partner = given(
        REGISTERED, ChannelManagerAssigned(contact_id=BOREALIS, assigned_by=OPERATIONS.id)
    )

    partner.assign_channel_manager(OPERATIONS, contact(invited(vendor_invitation()), ACCEPTED))

    assert partner.pending == [
        ChannelManagerAssigned(contact_id=MANAGER.id, assigned_by=OPERATIONS.id)
    ]


def test_a_manager_assigned_twice_is_assigned_once() -> None:
    partner = given(
        REGISTERED, ChannelManagerAssigned(contact_id=MANAGER.id, assigned_by=OPERATIONS.id)
    )

    partner.assign_channel_manager(OPERATIONS, contact(invited(vendor_invitation()), ACCEPTED))

    assert partner.pending == []


@pytest.mark.parametrize(
    "facts",
    [
        (invited(vendor_invitation()),),
        (invited(vendor_invitation("channel-operations")), ACCEPTED),
        (invited(invitation("partner-admin")), ACCEPTED),
        (
            invited(vendor_invitation()),
            ACCEPTED,
            ContactDeactivated(reason_code="left", deactivated_by=OPERATIONS.id),
        ),
    ],
    ids=["not active yet", "another role", "a partner's contact", "gone"],
)
def test_only_an_active_channel_account_manager_of_the_vendor_is_assigned(
    facts: tuple[ContactFact, ...],
) -> None:
    with pytest.raises(NotAChannelManager):
        given(REGISTERED).assign_channel_manager(OPERATIONS, contact(*facts))


def test_an_ended_partnership_takes_no_channel_manager() -> None:
    manager = contact(invited(vendor_invitation()), ACCEPTED)

    with pytest.raises(PartnerTerminated):
        given(REGISTERED, REJECTED).assign_channel_manager(OPERATIONS, manager)


def test_a_partner_belongs_to_its_own_people() -> None:
    assert given(REGISTERED).tenant_id == ALPHA


def test_every_key_that_a_profile_names_is_unique_and_stays_so_when_loaded() -> None:
    keys = unique_keys(PROFILE)

    assert [key.scope for key in keys] == ["domain", "duns", "external-id", "tax-id"]
    assert given(REGISTERED).keys == keys


def test_a_key_named_twice_is_reserved_once() -> None:
    twice = Profile.model_validate(dict(PROFILE) | {"domains": ("a.example", "a.example")})

    assert [key.scope for key in unique_keys(twice)].count("domain") == 1


def test_a_company_without_hard_keys_reserves_none() -> None:
    bare = Profile(
        legal_name="Bare Ltd",
        country="GB",
        types=("referral",),
        currency="GBP",
        time_zone="Europe/London",
    )

    assert unique_keys(bare) == ()
