"""Facts of deal-svc about deals and the waiting lines for exclusivity."""

from datetime import date
from typing import Annotated, Literal, get_args
from uuid import UUID

from pydantic import Field

from prm_contracts.approvals import StepDecided, StepOpened
from prm_contracts.customers import EndCustomer
from prm_contracts.facts import Basis, Fact, Personal, Topic, Value
from prm_contracts.territories import AlignmentVersion, Conflict, Dimensions
from prm_contracts.values import (
    ActorId,
    BasisPoints,
    Channel,
    Code,
    Country,
    Currency,
    Deadline,
    Decision,
    ExternalId,
    Industry,
    Instant,
    MinorUnits,
    OrganisationType,
    SizeBand,
)

DealType = Literal["new", "renewal", "expansion"]
# The reason codes of DealRejected today; more may come.
RejectionReason = Literal[
    "duplicate",
    "territory",
    "direct-pipeline",
    "unauthorised",
    "under-minimum",
    "tender",
    "incomplete",
    "partner-ineligible",
]
HelpWanted = Literal["co-sell", "pricing", "tender", "technical"]
Leaving = Literal["withdrawn", "rejected", "expired", "lost", "cancelled"]
Site = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^\S(.*\S)?$")]


class DealLine(Value):
    """Quantity in the product's unit; `unit_price_minor` in the deal's currency."""

    product_id: UUID
    family: Code
    quantity: int = Field(ge=1, le=1_000_000_000)
    unit_price_minor: MinorUnits


class Claim(Value):
    """A place in the line of (customer, family, country). `version`: of the exclusivity stream.

    `site` null: all sites; two claims clash when either has no site or the sites are equal.
    """

    exclusivity_id: UUID
    version: int = Field(ge=1)
    family: Code
    site: Site | None = None


class DealRegistered(Fact, type="prm.deal.DealRegistered.v1"):
    """A partner asks for exclusivity. Asks for the first conflict check, of subject version 1.

    `amount_minor`: the sum of the lines. `expected_close_on`: in the zone `time_zone`.
    `based_on`: the partner as deal-svc knew it.
    """

    partner_id: UUID
    seller_id: UUID
    registered_by: ActorId
    deal_type: DealType
    customer: EndCustomer
    customer_contact: Personal | None = None
    lines: tuple[DealLine, ...] = Field(min_length=1, max_length=200)
    amount_minor: MinorUnits
    currency: Currency
    expected_close_on: date
    time_zone: str
    claims: tuple[Claim, ...] = Field(min_length=1)
    industry: Industry | None = None
    size_band: SizeBand | None = None
    channel: Channel | None = None
    organisation_type: OrganisationType | None = None
    sales_activity: Personal
    help_wanted: tuple[HelpWanted, ...] = ()
    terms_version: Code
    external_ids: tuple[ExternalId, ...] = ()
    based_on: tuple[Basis, ...] = ()


class ConflictCheckRequested(Fact, type="prm.deal.ConflictCheckRequested.v1"):
    """Asks for another conflict check; complete in itself."""

    subject_version: int = Field(ge=2)
    reason_code: Code
    dimensions: Dimensions
    based_on: tuple[Basis, ...] = ()


class DealCleared(Fact, type="prm.deal.DealCleared.v1"):
    """Nothing above a flag was found. The deal is in review until the next fact decides."""

    subject_version: int = Field(ge=1)
    check_id: UUID
    alignment_version: AlignmentVersion
    conflicts: tuple[Conflict, ...] = ()
    decision: Decision
    based_on: tuple[Basis, ...] = ()


class DealConflictsFound(Fact, type="prm.deal.DealConflictsFound.v1"):
    """The conflicts of both services. The deal is in review until the next fact decides."""

    subject_version: int = Field(ge=1)
    check_id: UUID
    alignment_version: AlignmentVersion
    conflicts: tuple[Conflict, ...] = Field(min_length=1)
    decision: Decision
    based_on: tuple[Basis, ...] = ()


class DealQueued(Fact, type="prm.deal.DealQueued.v1"):
    """Waits behind others. `place`: the worst over its lines, the head being 1."""

    place: int = Field(ge=2)


class DealPromoted(Fact, type="prm.deal.DealPromoted.v1"):
    """At the head of all its lines now; it is checked again, as this subject version."""

    subject_version: int = Field(ge=2)


class DealApprovalStepOpened(StepOpened, type="prm.deal.ApprovalStepOpened.v1"):
    """A person with the role has to decide on the deal."""


class DealApprovalStepDecided(StepDecided, type="prm.deal.ApprovalStepDecided.v1"):
    """The step of the deal was decided or closed."""


class DealApproved(Fact, type="prm.deal.DealApproved.v1"):
    """The partner has exclusivity on all lines. `is_unchecked`: decided before the check came."""

    decision: Decision
    exclusive_from: Instant
    exclusive_until: Deadline
    discount_bp: BasisPoints
    is_unchecked: bool = False


class DealRejected(Fact, type="prm.deal.DealRejected.v1"):
    decision: Decision
    note: Personal | None = None


class DealWithdrawn(Fact, type="prm.deal.DealWithdrawn.v1"):
    withdrawn_by: ActorId
    note: Personal | None = None


class DealExpired(Fact, type="prm.deal.DealExpired.v1"):
    """The window ran out. `due_at`: the deadline that fired."""

    due_at: Instant


class ExclusivityClaimed(Fact, type="prm.exclusivity.ExclusivityClaimed.v1"):
    """A deal joined the end of the line. The order of claims is the version in this stream."""

    deal_id: UUID
    partner_id: UUID
    customer_id: UUID
    family: Code
    country: Country
    site: Site | None = None


class ExclusivityGranted(Fact, type="prm.exclusivity.ExclusivityGranted.v1"):
    deal_id: UUID
    exclusive_until: Instant


class ExclusivityReleased(Fact, type="prm.exclusivity.ExclusivityReleased.v1"):
    """A deal left the line. `moved_up`: the deals that nothing ahead clashes with any more."""

    deal_id: UUID
    reason: Leaving
    moved_up: tuple[UUID, ...] = ()


class ExclusivityExpired(Fact, type="prm.exclusivity.ExclusivityExpired.v1"):
    """The holder's window ran out. `moved_up`: as in ExclusivityReleased."""

    deal_id: UUID
    due_at: Instant
    moved_up: tuple[UUID, ...] = ()


DealFact = (
    DealRegistered
    | ConflictCheckRequested
    | DealCleared
    | DealConflictsFound
    | DealQueued
    | DealPromoted
    | DealApprovalStepOpened
    | DealApprovalStepDecided
    | DealApproved
    | DealRejected
    | DealWithdrawn
    | DealExpired
)
ExclusivityFact = ExclusivityClaimed | ExclusivityGranted | ExclusivityReleased | ExclusivityExpired

DEALS = Topic[DealFact]("prm.deals", get_args(DealFact), "deal-svc")
EXCLUSIVITIES = Topic[ExclusivityFact]("prm.exclusivities", get_args(ExclusivityFact), "deal-svc")
