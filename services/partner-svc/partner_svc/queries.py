"""One function a question: SQL in; the view models of the documents that it answers."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel

from chassis.context import Actor
from chassis.sql import Listing, Statement
from prm_contracts.partners import LimitKind, MutedMails, PartnerType, Side, SimilarPartner
from prm_contracts.values import Country, ExternalId, Instant, Role

PartnerStatus = Literal["applied", "active", "suspended", "terminated"]
ContactStatus = Literal["invited", "active", "expired", "deactivated"]


class PartnerView(BaseModel):
    """`note` and `similar_to` are shown to the vendor's people only."""

    partner_id: UUID
    legal_name: str
    trading_names: tuple[str, ...]
    country: str
    subdivision: str | None
    types: tuple[PartnerType, ...]
    currency: str
    time_zone: str
    domains: tuple[str, ...]
    tax_id: str | None
    duns: str | None
    external_ids: tuple[ExternalId, ...]
    similar_to: tuple[SimilarPartner, ...] = ()
    status: PartnerStatus
    registered_by: UUID
    registered_at: Instant
    approved_by: UUID | None
    terms_version: str | None
    reason_code: str | None
    note: str | None = None
    channel_manager_id: UUID | None
    version: int


class LimitView(BaseModel):
    kind: LimitKind
    currency: str
    amount_minor: int


class ContactView(BaseModel):
    """`name`, `email`, `phone`: null where the person was erased."""

    contact_id: UUID
    side: Side
    partner_id: UUID | None
    name: str | None
    email: str | None
    phone: str | None
    language: str
    muted: tuple[MutedMails, ...] = ()
    roles: tuple[Role, ...]
    limits: tuple[LimitView, ...]
    external_ids: tuple[ExternalId, ...]
    status: ContactStatus
    invited_by: UUID
    invited_at: Instant
    valid_until: Instant
    reason_code: str | None
    version: int


# What the vendor's people noted is not for the partner.
SHOWN = (
    "CASE WHEN %(tenant_id)s::uuid IS NULL THEN document"
    " ELSE document - '{note,similar_to}'::text[] END"
)
OWN = "%(tenant_id)s::uuid IS NULL OR partner_id = %(tenant_id)s"


def partners(
    asker: Actor,
    status: PartnerStatus | None = None,
    country: Country | None = None,
    type: PartnerType | None = None,
) -> Listing:
    """By legal name; a partner's people see their own partner."""
    return Listing(
        table="partner_list",
        aggregate_id="partner_id",
        shows=SHOWN,
        scope=OWN,
        where="(%(status)s::text IS NULL OR status = %(status)s)"
        " AND (%(country)s::text IS NULL OR country = %(country)s)"
        " AND (%(type)s::text IS NULL OR document -> 'types' ? %(type)s)",
        values={"tenant_id": asker.tenant_id, "status": status, "country": country, "type": type},
    )


def partner(asker: Actor, partner_id: UUID) -> Statement:
    return Statement(
        f"SELECT {SHOWN} AS document, version FROM partner_list"  # noqa: S608 - written above
        f" WHERE partner_id = %(id)s AND ({OWN})",
        {"tenant_id": asker.tenant_id, "id": partner_id},
    )


def contacts(
    asker: Actor,
    partner_id: UUID | None = None,
    side: Side | None = None,
    role: Role | None = None,
    status: ContactStatus | None = None,
) -> Listing:
    """In order of invitation; a partner's people see their colleagues."""
    return Listing(
        table="contact_list",
        aggregate_id="contact_id",
        scope=OWN,
        where="(%(partner_id)s::uuid IS NULL OR partner_id = %(partner_id)s)"
        " AND (%(side)s::text IS NULL OR side = %(side)s)"
        " AND (%(role)s::text IS NULL OR document -> 'roles' ? %(role)s)"
        " AND (%(status)s::text IS NULL OR status = %(status)s)",
        values={
            "tenant_id": asker.tenant_id,
            "partner_id": partner_id,
            "side": side,
            "role": role,
            "status": status,
        },
    )


def contact(asker: Actor, contact_id: UUID) -> Statement:
    return Statement(
        f"SELECT document, version FROM contact_list WHERE contact_id = %(id)s AND ({OWN})",  # noqa: S608 - as above
        {"tenant_id": asker.tenant_id, "id": contact_id},
    )
