"""Facts in, documents out: projections and queries on a real database."""

from typing import Any
from uuid import UUID

import pytest

from chassis.delivery import LIFTED, Pending
from chassis.sql import Statement
from chassis.storage.migrate import migrate
from partner_svc import projections, queries
from prm_contracts.partners import (
    ChannelManagerAssigned,
    ContactDeactivated,
    ContactFact,
    InvitationExpired,
    LimitSet,
    PartnerApplicationRejected,
    PartnerFact,
    PartnerReinstated,
    PartnerSuspended,
    RoleGranted,
    RoleRevoked,
)

from .cast import (
    ACCEPTED,
    ACTIVATED,
    ADMIN,
    ALPHA,
    BOREALIS,
    MANAGER,
    NOW,
    OPERATIONS,
    REGISTERED,
    RIVAL,
    VALID_UNTIL,
    invitation,
    invited,
    personal,
    recorded,
    vendor_invitation,
)
from .tables import answer, filled

ANNA, OTTO = UUID(int=21), UUID(int=22)
NOTE = personal("three invoices open")
SUSPENDED = PartnerSuspended(suspended_by=OPERATIONS.id, reason_code="unpaid-fees", note=NOTE)


@pytest.fixture
def database(fresh_database: str) -> str:
    migrate(fresh_database, "partner_svc")
    return fresh_database


def partner_facts(id: UUID, *facts: PartnerFact) -> list[Statement]:
    return [projections.partner_list(recorded(fact, id, n)) for n, fact in enumerate(facts, 1)]


def contact_facts(id: UUID, *facts: ContactFact) -> list[Statement]:
    return [projections.contact_list(recorded(fact, id, n)) for n, fact in enumerate(facts, 1)]


def test_a_partner_is_shown_as_its_facts_left_it(database: str) -> None:
    assigned = ChannelManagerAssigned(contact_id=MANAGER.id, assigned_by=OPERATIONS.id)

    filled(database, partner_facts(ALPHA, REGISTERED, ACTIVATED, assigned, SUSPENDED))

    [document] = answer(database, queries.partner(OPERATIONS, ALPHA))
    shown = queries.PartnerView.model_validate(document | {"note": "opened"})
    assert (shown.status, shown.reason_code, shown.version) == ("suspended", "unpaid-fees", 4)
    assert (shown.channel_manager_id, shown.terms_version) == (MANAGER.id, "2027-1")
    assert shown.registered_at == NOW
    assert document["note"] == NOTE.model_dump(mode="json")


def test_a_reinstated_partner_shows_no_reason_any_more(database: str) -> None:
    back = PartnerReinstated(reinstated_by=OPERATIONS.id)

    filled(database, partner_facts(ALPHA, REGISTERED, ACTIVATED, SUSPENDED, back))

    [document] = answer(database, queries.partner(OPERATIONS, ALPHA))
    assert (document["status"], document["reason_code"], document["note"]) == ("active", None, None)


def test_a_repeated_or_older_fact_changes_nothing(database: str) -> None:
    facts = partner_facts(ALPHA, REGISTERED, ACTIVATED, SUSPENDED)

    filled(database, [*facts, *facts, facts[1]])

    [document] = answer(database, queries.partner(OPERATIONS, ALPHA))
    assert (document["status"], document["version"]) == ("suspended", 3)


def test_a_partner_sees_itself_without_notes_and_look_alikes(database: str) -> None:
    filled(database, partner_facts(ALPHA, REGISTERED, ACTIVATED, SUSPENDED))

    [document] = answer(database, queries.partner(ADMIN, ALPHA))

    assert document["reason_code"] == "unpaid-fees"
    assert {"note", "similar_to"}.isdisjoint(document)
    assert queries.PartnerView.model_validate(document).legal_name == REGISTERED.legal_name


def test_a_partner_does_not_see_another(database: str) -> None:
    filled(database, partner_facts(ALPHA, REGISTERED))

    assert answer(database, queries.partner(RIVAL, ALPHA)) == []
    assert answer(database, queries.partners(RIVAL)) == []
    assert len(answer(database, queries.partners(ADMIN))) == 1


def test_partners_are_listed_by_name(database: str) -> None:
    borealis = REGISTERED.model_copy(update={"legal_name": "Borealis Inc."})
    filled(database, partner_facts(BOREALIS, borealis) + partner_facts(ALPHA, REGISTERED))

    names = [it["legal_name"] for it in answer(database, queries.partners(OPERATIONS))]

    assert names == [REGISTERED.legal_name, "Borealis Inc."]


def test_partners_are_found_by_status_country_and_type(database: str) -> None:
    rejected = PartnerApplicationRejected(rejected_by=OPERATIONS.id, reason_code="incomplete")
    filled(database, partner_facts(ALPHA, REGISTERED, rejected))

    def found(**wanted: Any) -> int:
        return len(answer(database, queries.partners(OPERATIONS, **wanted)))

    assert (found(status="terminated"), found(status="active")) == (1, 0)
    assert (found(country="DE"), found(country="US")) == (1, 0)
    assert (found(type="reseller"), found(type="referral")) == (1, 0)


def test_a_contact_is_shown_as_its_facts_left_it(database: str) -> None:
    def limit(currency: str, amount: int) -> LimitSet:
        return LimitSet(
            kind="deal-approval", currency=currency, amount_minor=amount, set_by=OPERATIONS.id
        )

    facts = (
        invited(vendor_invitation("channel-account-manager")),
        ACCEPTED,
        RoleGranted(role="finance-approver", granted_by=OPERATIONS.id),
        RoleGranted(role="integrator", granted_by=OPERATIONS.id),
        RoleRevoked(role="channel-account-manager", revoked_by=OPERATIONS.id),
        limit("EUR", 1),
        limit("USD", 2),
        limit("EUR", 3),
        ContactDeactivated(reason_code="left", deactivated_by=OPERATIONS.id),
    )
    told = contact_facts(OTTO, *facts)
    filled(database, [*told, *told, told[1], told[4], told[5]])  # a late repeat changes nothing

    [document] = answer(database, queries.contact(OPERATIONS, OTTO))
    opened = {"name": "Otto", "email": "otto@meridian", "phone": None}
    shown = queries.ContactView.model_validate(document | opened)
    assert shown.roles == ("finance-approver", "integrator")
    assert [(it.currency, it.amount_minor) for it in shown.limits] == [("USD", 2), ("EUR", 3)]
    assert (shown.status, shown.reason_code, shown.version) == ("deactivated", "left", 9)
    assert "email_key" not in document


def test_an_invitation_that_expired_is_shown_as_such(database: str) -> None:
    expired = InvitationExpired(due_at=VALID_UNTIL)

    filled(database, contact_facts(ANNA, invited(invitation()), expired))

    [document] = answer(database, queries.contact(ADMIN, ANNA))
    assert document["status"] == "expired"


def test_a_partners_people_see_their_colleagues_only(database: str) -> None:
    filled(
        database,
        contact_facts(ANNA, invited(invitation()))
        + contact_facts(OTTO, invited(vendor_invitation())),
    )

    assert [it["contact_id"] for it in answer(database, queries.contacts(ADMIN))] == [str(ANNA)]
    assert len(answer(database, queries.contacts(OPERATIONS))) == 2
    assert answer(database, queries.contacts(RIVAL)) == []
    assert answer(database, queries.contact(ADMIN, OTTO)) == []
    assert answer(database, queries.contact(RIVAL, ANNA)) == []


def test_contacts_are_found_by_partner_side_role_and_status(database: str) -> None:
    anna = contact_facts(ANNA, invited(invitation()))
    filled(database, anna + contact_facts(OTTO, invited(vendor_invitation()), ACCEPTED))

    def found(**wanted: Any) -> list[str]:
        documents = answer(database, queries.contacts(OPERATIONS, **wanted))
        return [document["contact_id"] for document in documents]

    assert found(partner_id=ALPHA) == found(role="partner-seller") == [str(ANNA)]
    assert found(side="vendor") == found(status="active") == [str(OTTO)]


@pytest.mark.parametrize(
    ("fact", "pending"),
    [
        (invited(invitation()), Pending(VALID_UNTIL)),
        (ACCEPTED, LIFTED),
        (RoleGranted(role="partner-admin", granted_by=ADMIN.id), None),
    ],
)
def test_an_open_invitation_has_a_deadline(fact: ContactFact, pending: Pending | None) -> None:
    assert projections.invitation_deadline(recorded(fact, ANNA, 1)) == pending
