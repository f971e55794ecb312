"""What must hold of partners and contacts."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from partner_svc.domain.administration import Administration, administration_id
from partner_svc.domain.contact import Contact
from partner_svc.domain.contact import Status as ContactStatus
from partner_svc.domain.partner import Partner
from partner_svc.domain.partner import Status as PartnerStatus
from partner_svc.domain.reservation import Reservation
from prm_contracts.partners import (
    ContactActivated,
    ContactInvited,
    InvitationExpired,
    PartnerAdminAppointed,
    PartnerKeyReserved,
    PartnerRegistered,
)

from .aggregates import fact_of, replayed
from .database import Database


def wrong_in_invitations(database: Database, now: datetime) -> Iterator[str]:
    """They lapse in time, and an accepted one never does."""
    for its_id, contact in replayed(database, ContactInvited, Contact).items():
        if contact.status is ContactStatus.INVITED and contact.valid_until <= now:
            yield f"contact {its_id} is invited, until {contact.valid_until}"
        answers = [
            event.type
            for event in database.streams[its_id]
            if isinstance(fact_of(event), ContactActivated | InvitationExpired)
        ]
        if len(answers) > 1:
            yield f"the invitation {its_id} ended more than once: {answers}"


def wrong_in_unique_keys(database: Database) -> Iterator[str]:
    """Who is live holds the own keys, and nobody else holds any."""
    wanted: dict[UUID, UUID] = {}
    partners = replayed(database, PartnerRegistered, Partner)
    contacts = replayed(database, ContactInvited, Contact)
    live: list[Partner | Contact] = [
        *(it for it in partners.values() if it.status is not PartnerStatus.TERMINATED),
        *(it for it in contacts.values() if it.is_live),
    ]
    for each in live:
        for key in each.keys:
            other = wanted.setdefault(key.reservation_id, each.id)
            if other != each.id:
                yield f"{other} and {each.id} have the same {key.scope}"
    found = replayed(database, PartnerKeyReserved, Reservation)
    held = {its_id: it.held_by for its_id, it in found.items() if it.held_by}
    if held != wanted:
        yield f"keys are held {held}, and should be {wanted}"


def wrong_in_administrations(database: Database) -> Iterator[str]:
    """Each partner's list names its active administrators."""
    admins: dict[UUID, set[UUID]] = defaultdict(set)
    for contact in replayed(database, ContactInvited, Contact).values():
        if contact.is_partner_admin and contact.tenant_id:
            admins[administration_id(contact.tenant_id)].add(contact.id)
    lists = replayed(database, PartnerAdminAppointed, Administration)
    if {its_id: set(it.admins) for its_id, it in lists.items()} != admins:
        yield f"administrators are {admins}, and the lists differ"
