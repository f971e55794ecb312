"""What holds across aggregates, decided on a real event store."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from chassis.context import Actor, Context
from chassis.delivery import Due
from chassis.errors import PreconditionFailed
from chassis.storage.event_store import PostgresEventStore
from chassis.store import Saved, Store
from chassis.testing import a_command, event_store, stored_facts
from partner_svc import application, policies, projections
from partner_svc.domain.administration import LastPartnerAdmin
from partner_svc.domain.contact import ContactNotFound, Invitation, Limit
from partner_svc.domain.partner import PartnerNotFound, PartnerTerminated, Profile
from partner_svc.domain.reservation import KeyTaken
from prm_contracts.partners import (
    ContactActivated,
    ContactInvited,
    InvitationExpired,
    LimitSet,
    PartnerRegistered,
    SimilarPartner,
)
from prm_contracts.values import ExternalId, Role

from .cast import (
    ADMIN,
    ALPHA,
    MANAGER,
    OPERATIONS,
    PROFILE,
    RIVAL,
    VALID_UNTIL,
    invitation,
    recorded,
    vendor_invitation,
)
from .tables import filled

BARE = Profile(
    legal_name="Borealis Inc.",
    country="US",
    types=("integrator",),
    currency="USD",
    time_zone="America/New_York",
)


@pytest.fixture
async def events(fresh_database: str) -> AsyncIterator[PostgresEventStore]:
    async with event_store(fresh_database, "partner_svc") as store:
        yield store


async def told_by_policy(store: Store, ctx: Context, due: Due) -> Saved:
    """As the worker's tick runs it."""
    await policies.expire_invitation(store, ctx, due)
    return Saved(())


async def registered(events: PostgresEventStore, profile: Profile = PROFILE) -> UUID:
    ctx = a_command(MANAGER)
    await events.execute(application.register_partner, ctx, profile)
    return ctx.new_id("partner")


async def active_contact(
    events: PostgresEventStore, partner_id: UUID, *roles: Role, key: int = 1
) -> UUID:
    asked = invitation(*roles, partner_id=partner_id)
    asked = Invitation.model_validate(dict(asked) | {"email_key": UUID(int=key)})
    ctx = a_command(OPERATIONS)
    await events.execute(application.invite_contact, ctx, asked)
    contact_id = ctx.new_id("contact")
    await events.execute(application.accept_invitation, a_command(OPERATIONS), contact_id)
    return contact_id


def facts_of(dsn: str, kind: type[Any]) -> list[Any]:
    return [stored.fact for stored in stored_facts(dsn) if isinstance(stored.fact, kind)]


@pytest.mark.parametrize("field", ["tax_id", "duns", "domains", "external_ids"])
async def test_a_live_partner_with_the_same_key_refuses_a_second_registration(
    events: PostgresEventStore, fresh_database: str, field: str
) -> None:
    first = await registered(events)
    second = Profile.model_validate(
        dict(BARE) | {field: getattr(PROFILE, field), "country": PROFILE.country}
    )

    with pytest.raises(KeyTaken) as refused:
        await registered(events, second)

    assert refused.value.held_by == first
    assert len(facts_of(fresh_database, PartnerRegistered)) == 1


async def test_an_external_id_names_one_contact_until_that_one_is_gone(
    events: PostgresEventStore,
) -> None:
    partner_id = await registered(events)
    named = {"external_ids": (ExternalId(system="crm", id="C-1"),)}
    first, second = [
        Invitation.model_validate(
            dict(invitation(partner_id=partner_id)) | named | {"email_key": UUID(int=key)}
        )
        for key in (1, 2)
    ]
    admin = Actor(UUID(int=90), partner_id, frozenset({"partner-admin"}))
    ctx = a_command(OPERATIONS)
    await events.execute(application.invite_contact, ctx, first)

    with pytest.raises(KeyTaken) as to_us:
        await events.execute(application.invite_contact, a_command(OPERATIONS), second)
    with pytest.raises(KeyTaken) as to_a_partner:
        await events.execute(application.invite_contact, a_command(admin), second)
    contact_id = ctx.new_id("contact")
    await events.execute(application.deactivate_contact, a_command(OPERATIONS), contact_id, "left")
    await events.execute(application.invite_contact, a_command(OPERATIONS), second)

    assert (to_us.value.held_by, to_a_partner.value.held_by) == (contact_id, None)


async def test_of_two_registrations_of_one_company_at_once_one_is_refused(
    events: PostgresEventStore, fresh_database: str
) -> None:
    both = await asyncio.gather(registered(events), registered(events), return_exceptions=True)

    assert [type(outcome) for outcome in both].count(KeyTaken) == 1
    assert len(facts_of(fresh_database, PartnerRegistered)) == 1


async def test_a_rejected_application_frees_its_keys(events: PostgresEventStore) -> None:
    first = await registered(events)

    await events.execute(
        application.reject_partner, a_command(OPERATIONS), first, "incomplete", None
    )

    assert await registered(events) != first


async def test_a_like_name_in_the_country_is_a_hint_and_no_refusal(
    events: PostgresEventStore, fresh_database: str
) -> None:
    fact = PartnerRegistered(**dict(PROFILE), registered_by=MANAGER.id)
    filled(fresh_database, [projections.partner_list(recorded(fact, ALPHA, 1))])
    alike = {"legal_name": "Alpha Systemhaus AG", "country": "DE"}

    await registered(events, Profile.model_validate(dict(BARE) | alike))

    [registration] = facts_of(fresh_database, PartnerRegistered)
    assert registration.similar_to == (SimilarPartner(partner_id=ALPHA, points=1000),)


async def test_a_partner_goes_through_its_life(events: PostgresEventStore) -> None:
    partner_id = await registered(events)

    await events.execute(application.approve_partner, a_command(OPERATIONS), partner_id, "2027-1")
    await events.execute(
        application.suspend_partner, a_command(OPERATIONS), partner_id, "unpaid-fees", None
    )
    saved = await events.execute(
        application.reinstate_partner, a_command(OPERATIONS), partner_id, None
    )

    assert saved.versions[0][:2] == (partner_id, 4)


async def test_a_partner_that_changed_meanwhile_is_not_decided_on(
    events: PostgresEventStore,
) -> None:
    partner_id = await registered(events)

    with pytest.raises(PreconditionFailed):
        await events.execute(
            application.approve_partner, a_command(OPERATIONS, if_match=7), partner_id, "2027-1"
        )


async def test_a_channel_manager_is_a_contact_of_the_vendor(events: PostgresEventStore) -> None:
    partner_id, ctx = await registered(events), a_command(OPERATIONS)
    await events.execute(application.invite_contact, ctx, vendor_invitation())
    manager = ctx.new_id("contact")
    await events.execute(application.accept_invitation, a_command(OPERATIONS), manager)

    saved = await events.execute(
        application.assign_channel_manager, a_command(OPERATIONS), partner_id, manager
    )

    assert saved.versions[0][:2] == (partner_id, 2)


async def test_another_partners_people_cannot_be_invited_nor_seen(
    events: PostgresEventStore,
) -> None:
    partner_id = await registered(events)
    anna = await active_contact(events, partner_id, "partner-admin")

    with pytest.raises(PartnerNotFound):
        await events.execute(
            application.invite_contact, a_command(RIVAL), invitation(partner_id=partner_id)
        )
    with pytest.raises(ContactNotFound):
        await events.execute(application.deactivate_contact, a_command(RIVAL), anna, "left")


async def test_an_ended_partnership_gets_no_contacts(events: PostgresEventStore) -> None:
    partner_id = await registered(events)
    await events.execute(
        application.reject_partner, a_command(OPERATIONS), partner_id, "incomplete", None
    )

    with pytest.raises(PartnerTerminated):
        await active_contact(events, partner_id)


async def test_an_address_is_one_contact_of_a_partner_until_that_one_is_gone(
    events: PostgresEventStore,
) -> None:
    partner_id = await registered(events)
    anna = await active_contact(events, partner_id)

    with pytest.raises(KeyTaken):
        await active_contact(events, partner_id)
    await events.execute(application.deactivate_contact, a_command(OPERATIONS), anna, "left")

    assert await active_contact(events, partner_id) != anna


async def test_of_two_administrators_who_leave_at_once_one_stays(
    events: PostgresEventStore,
) -> None:
    partner_id = await registered(events)
    anna = await active_contact(events, partner_id, "partner-admin", key=1)
    ben = await active_contact(events, partner_id, "partner-seller", key=2)
    oneself = Actor(UUID(int=99), partner_id, ADMIN.roles)
    await events.execute(application.grant_role, a_command(oneself), ben, "partner-admin")

    left = await asyncio.gather(
        events.execute(application.revoke_role, a_command(oneself), anna, "partner-admin"),
        events.execute(application.deactivate_contact, a_command(oneself), ben, "left"),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in left].count(LastPartnerAdmin) == 1


async def test_an_invitation_that_expires_frees_the_address(
    events: PostgresEventStore, fresh_database: str
) -> None:
    ctx = a_command(OPERATIONS)
    await events.execute(application.invite_contact, ctx, vendor_invitation())
    due = Due(ctx.new_id("contact"), 1, VALID_UNTIL)

    await events.execute(told_by_policy, a_command(), due)

    assert facts_of(fresh_database, InvitationExpired) == [InvitationExpired(due_at=VALID_UNTIL)]
    await events.execute(application.invite_contact, a_command(OPERATIONS), vendor_invitation())


async def test_the_deadline_of_an_accepted_invitation_changes_nothing(
    events: PostgresEventStore, fresh_database: str
) -> None:
    partner_id = await registered(events)
    anna = await active_contact(events, partner_id)
    before = len(stored_facts(fresh_database))

    due = Due(anna, 1, VALID_UNTIL)
    await events.execute(told_by_policy, a_command(), due)

    assert len(stored_facts(fresh_database)) == before


async def test_operations_set_a_limit(events: PostgresEventStore, fresh_database: str) -> None:
    ctx = a_command(OPERATIONS)
    await events.execute(application.invite_contact, ctx, vendor_invitation("finance-approver"))
    limit = Limit(kind="deal-approval", currency="EUR", amount_minor=5_000_000)

    await events.execute(application.set_limit, a_command(OPERATIONS), ctx.new_id("contact"), limit)

    assert facts_of(fresh_database, LimitSet) == [LimitSet(**dict(limit), set_by=OPERATIONS.id)]


async def test_an_admitted_contact_is_there_once_and_logs_on_in_its_role(
    events: PostgresEventStore, fresh_database: str
) -> None:
    operator = Actor(UUID(int=17), roles=frozenset({"platform-operator"}))
    anna, partner_id = UUID(int=21), await registered(events)
    asked = (anna, invitation("partner-admin", partner_id=partner_id), ())

    for _ in range(2):
        await events.execute(application.admit_contact, a_command(operator), *asked)
    await events.execute(application.log_on, a_command(), anna, "partner-admin", partner_id)

    assert len(facts_of(fresh_database, ContactInvited)) == 1
    assert len(facts_of(fresh_database, ContactActivated)) == 1


async def test_nobody_logs_on_for_a_partner_that_is_not_theirs(events: PostgresEventStore) -> None:
    partner_id = await registered(events)
    anna = await active_contact(events, partner_id)

    with pytest.raises(ContactNotFound):
        await events.execute(application.log_on, a_command(), anna, "partner-seller", None)
