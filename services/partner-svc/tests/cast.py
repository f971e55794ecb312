"""The realistic cast that the tests of partner-svc share."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from chassis.context import Actor, Context
from chassis.store import Recorded
from partner_svc.domain.contact import INVITATION_VALID, Invitation
from partner_svc.domain.partner import Profile
from prm_contracts.facts import Personal
from prm_contracts.partners import (
    ContactActivated,
    ContactInvited,
    PartnerActivated,
    PartnerRegistered,
    Side,
)
from prm_contracts.values import ExternalId, Role

NOW = datetime(2027, 3, 1, 9, tzinfo=UTC)
VALID_UNTIL = NOW + INVITATION_VALID
LATER = VALID_UNTIL + timedelta(seconds=1)
ALPHA, BOREALIS = UUID(int=1), UUID(int=2)
MANAGER = Actor(UUID(int=11), roles=frozenset({"channel-account-manager"}))
OPERATIONS = Actor(UUID(int=12), roles=frozenset({"channel-operations"}))
COLLEAGUE = Actor(UUID(int=13), roles=frozenset({"channel-operations"}))
ADMIN = Actor(UUID(int=14), ALPHA, frozenset({"partner-admin"}))
SELLER = Actor(UUID(int=15), ALPHA, frozenset({"partner-seller"}))
RIVAL = Actor(UUID(int=16), BOREALIS, frozenset({"partner-admin"}))
EMAIL_KEY = UUID(int=41)

PROFILE = Profile(
    legal_name="Alpha Systemhaus GmbH",
    trading_names=("Alpha",),
    country="DE",
    subdivision="DE-BY",
    types=("reseller",),
    currency="EUR",
    time_zone="Europe/Berlin",
    domains=("alpha-systemhaus.example",),
    tax_id="DE811907980",
    duns="315369934",
    external_ids=(ExternalId(system="crm", id="A-1"),),
)
REGISTERED = PartnerRegistered(**dict(PROFILE), registered_by=MANAGER.id)
ACTIVATED = PartnerActivated(approved_by=OPERATIONS.id, terms_version="2027-1")


def personal(text: str) -> Personal:
    """Sealed in looks only: domain and application never open it."""
    return Personal(subject=UUID(int=31), key=UUID(int=32), box=text)


def invitation(*roles: Role, side: Side = "partner", partner_id: UUID | None = ALPHA) -> Invitation:
    return Invitation(
        side=side,
        partner_id=partner_id,
        name=personal("Anna"),
        email=personal("anna@alpha"),
        email_key=EMAIL_KEY,
        language="de",
        roles=roles or ("partner-seller",),
    )


def vendor_invitation(*roles: Role) -> Invitation:
    return invitation(*(roles or ("channel-account-manager",)), side="vendor", partner_id=None)


def invited(asked: Invitation, invited_by: Actor = OPERATIONS) -> ContactInvited:
    return ContactInvited(**dict(asked), valid_until=VALID_UNTIL, invited_by=invited_by.id)


ACCEPTED = ContactActivated()


def ctx(actor: Actor = OPERATIONS, now: datetime = NOW) -> Context:
    return Context(actor=actor, now=now, command_id=uuid4(), correlation_id=uuid4())


def recorded(fact: Any, id: UUID, version: int) -> Recorded[Any]:
    return Recorded(
        fact=fact,
        aggregate_id=id,
        version=version,
        event_id=uuid4(),
        position=version,
        occurred_at=NOW,
        recorded_at=NOW,
        actor_id=OPERATIONS.id,
        command_id=uuid4(),
        correlation_id=uuid4(),
        causation_id=None,
        chain=b"",
    )
