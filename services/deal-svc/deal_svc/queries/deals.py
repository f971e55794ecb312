"""Questions about deals and the waiting lines."""

from datetime import date
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel

from chassis.context import Actor
from chassis.sql import Listing, Statement
from prm_contracts.customers import Band, CustomerLike
from prm_contracts.deals import Claim, DealLine, DealType, HelpWanted
from prm_contracts.territories import ConflictKind, Resolution
from prm_contracts.values import (
    Channel,
    Deadline,
    Decision,
    ExternalId,
    Instant,
    OrganisationType,
    SizeBand,
)

DealStatus = Literal[
    "checking", "in_review", "queued", "approved", "rejected", "withdrawn", "expired"
]
ClaimStatus = Literal["waiting", "held", "left"]


class ListedDeal(BaseModel):
    """`place`: in line as it is now, while queued; the head is 1."""

    deal_id: UUID
    partner_id: UUID
    seller_id: UUID
    customer_name: str
    country: str
    families: tuple[str, ...]
    amount_minor: int
    currency: str
    expected_close_on: date
    registered_at: Instant
    status: DealStatus
    place: int | None
    exclusive_until: Deadline | None
    version: int


class CustomerAsNamed(BaseModel):
    name: str
    country: str
    subdivision: str | None
    postal_code: str | None
    domain: str | None
    duns: str | None
    tax_id: str | None


class ConflictView(BaseModel):
    """`evidence`: for the vendor's people only."""

    kind: ConflictKind
    resolution: Resolution
    rule_id: str
    evidence: dict[str, str | int] | None = None


class DecisionView(BaseModel):
    """`decided_by`, `input_hash`: for the vendor's people only."""

    is_automatic: bool
    reason_code: str
    rule_id: str
    policy_version: str
    decided_by: UUID | None = None
    input_hash: str | None = None


class ResolvedCustomerView(BaseModel):
    customer_id: UUID
    band: Band
    scorer_version: str
    similar: tuple[CustomerLike, ...]


class StepView(BaseModel):
    """The last step of approval; `outcome` null: it waits for a person with the role."""

    step: int
    role: str | None = None
    amount_minor: int | None = None
    currency: str | None = None
    due_at: Instant | None = None
    outcome: str | None = None
    decided_by: UUID | None = None


class DealView(BaseModel):
    """Free texts are null where they were erased. From `resolved` on: for the vendor's people."""

    deal_id: UUID
    partner_id: UUID
    seller_id: UUID
    registered_by: UUID
    deal_type: DealType
    customer: CustomerAsNamed
    customer_contact: str | None
    lines: tuple[DealLine, ...]
    families: tuple[str, ...]
    site: str | None
    amount_minor: int
    currency: str
    expected_close_on: date
    time_zone: str
    industry: str | None
    size_band: SizeBand | None
    channel: Channel | None
    organisation_type: OrganisationType | None
    sales_activity: str | None
    help_wanted: tuple[HelpWanted, ...]
    terms_version: str
    external_ids: tuple[ExternalId, ...]
    registered_at: Instant
    status: DealStatus
    place: int | None
    subject_version: int
    alignment_version: int | None = None
    conflicts: tuple[ConflictView, ...]
    decision: DecisionView | None
    note: str | None
    exclusive_from: Instant | None
    exclusive_until: Deadline | None
    discount_bp: int | None
    is_unchecked: bool
    version: int
    resolved: ResolvedCustomerView | None = None
    claims: tuple[Claim, ...] | None = None
    step: StepView | None = None
    check_id: UUID | None = None
    verdict: Decision | None = None


class ClaimView(BaseModel):
    """A claim in a waiting line; `claim_version` gives the order."""

    exclusivity_id: UUID
    claim_version: int
    deal_id: UUID
    partner_id: UUID
    customer_id: UUID
    family: str
    country: str
    site: str | None
    status: ClaimStatus
    claimed_at: Instant
    exclusive_until: Instant | None
    left_at: Instant | None
    left_by: str | None


def scope(asker: Actor) -> dict[str, Any]:
    """A seller sees the own deals, an administrator the partner's, the vendor's people all."""
    is_seller = asker.tenant_id is not None and "partner-admin" not in asker.roles
    return {"tenant_id": asker.tenant_id, "seller_id": asker.id if is_seller else None}


OWN = (
    "(%(tenant_id)s::uuid IS NULL OR partner_id = %(tenant_id)s)"
    " AND (%(seller_id)s::uuid IS NULL OR %(seller_id)s IN (seller_id, registered_by))"
)


def deals(asker: Actor, status: DealStatus | None, partner_id: UUID | None) -> Listing:
    """The newest first."""
    return Listing(
        table="deal_list",
        aggregate_id="deal_id",
        shows="CASE WHEN status = 'queued' THEN document"
        " || jsonb_strip_nulls(jsonb_build_object('place', place_in_line(deal_id)))"
        " ELSE document END",
        scope=OWN,
        where="(%(status)s::text IS NULL OR status = %(status)s)"
        " AND (%(partner_id)s::uuid IS NULL OR partner_id = %(partner_id)s)",
        values=scope(asker) | {"status": status, "partner_id": partner_id},
    )


def deal(asker: Actor, deal_id: UUID) -> Statement:
    """As of an earlier time the place in line is the one that was told."""
    return Statement(
        "SELECT document || CASE WHEN %(tenant_id)s::uuid IS NULL THEN vendor_part"  # noqa: S608 - written above
        " ELSE '{}' END || CASE WHEN document ->> 'status' = 'queued'"
        " AND NOT asks_for_the_past()"
        " THEN jsonb_strip_nulls(jsonb_build_object('place', place_in_line(deal_id)))"
        " ELSE '{}' END AS document,"
        f" version FROM deal_detail WHERE deal_id = %(deal_id)s AND {OWN}",
        scope(asker) | {"deal_id": deal_id},
    )


def claims(exclusivity_id: UUID | None, customer_id: UUID | None, deal_id: UUID | None) -> Listing:
    """Line by line, each in its order. For the vendor's people only."""
    return Listing(
        table="exclusivity_line",
        aggregate_id="exclusivity_id",
        where="(%(exclusivity_id)s::uuid IS NULL OR exclusivity_id = %(exclusivity_id)s)"
        " AND (%(customer_id)s::uuid IS NULL OR customer_id = %(customer_id)s)"
        " AND (%(deal_id)s::uuid IS NULL OR exclusivity_id IN (SELECT mine.exclusivity_id"
        " FROM exclusivity_line AS mine WHERE mine.deal_id = %(deal_id)s))",
        values={"exclusivity_id": exclusivity_id, "customer_id": customer_id, "deal_id": deal_id},
    )
