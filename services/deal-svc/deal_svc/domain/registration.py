"""What a partner says when it registers a deal, and which of it is refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated
from uuid import UUID

from pydantic import Field

from chassis.errors import Conflict, Invalid
from deal_svc.domain.customer_keys import NamedCustomer
from deal_svc.domain.terms import zone_of
from deal_svc.domain.verdict import PartnerStatus
from prm_contracts.codes import COUNTRIES, CURRENCIES
from prm_contracts.deals import DealLine, DealType, HelpWanted, Site
from prm_contracts.facts import Basis, Personal, Value
from prm_contracts.values import (
    MAX_MINOR_UNITS,
    Channel,
    Code,
    Currency,
    ExternalId,
    Industry,
    MinorUnits,
    OrganisationType,
    SizeBand,
)

CLOSES_WITHIN = timedelta(days=366)  # 12 months, a leap day included


@dataclass(eq=False)
class PartnerUnknown(Conflict):
    """deal-svc has not read of this partner yet: send the Prm-Position of its activation along."""

    partner_id: UUID


@dataclass(eq=False)
class PartnerNotActive(Conflict):
    """Only active partners' deals go on: of one just activated, send the Prm-Position along."""

    partner_id: UUID
    partner_status: PartnerStatus


@dataclass(eq=False)
class SellerUnknown(Conflict):
    """A deal's seller is an active contact of the partner: of one who just accepted, ask again."""

    seller_id: UUID


@dataclass(eq=False)
class ProductsUnknown(Invalid):
    """No price book lists these products; of one listed just now, send the Prm-Position along."""

    product_ids: tuple[UUID, ...]


@dataclass(eq=False)
class AmountTooLarge(Invalid):
    """The lines' sum must stay within 2^53 - 1 minor units: register it as several deals."""

    largest_minor: int = MAX_MINOR_UNITS


@dataclass(eq=False)
class CloseDateOutOfRange(Invalid):
    """A deal is expected to close from today on and within 12 months: correct the date."""

    earliest: date
    latest: date


@dataclass(eq=False)
class CodeUnknown(Invalid):
    """Countries and currencies are codes that exist today: correct it."""

    field: str
    value: str


class NamedLine(Value):
    """`unit_price_minor`: in the deal's currency."""

    product_id: UUID
    quantity: int = Field(ge=1, le=1_000_000_000)
    unit_price_minor: MinorUnits


class DealDetails(Value):
    """`site`: claims one site of the customer; null claims all. `seller_id`: null is the caller."""

    deal_type: DealType = "new"
    customer: NamedCustomer
    lines: Annotated[tuple[NamedLine, ...], Field(min_length=1, max_length=200)]
    currency: Currency
    expected_close_on: date
    site: Site | None = None
    seller_id: UUID | None = None
    industry: Industry | None = None
    size_band: SizeBand | None = None
    channel: Channel | None = None
    organisation_type: OrganisationType | None = None
    help_wanted: Annotated[tuple[HelpWanted, ...], Field(max_length=20)] = ()
    external_ids: Annotated[tuple[ExternalId, ...], Field(max_length=20)] = ()


class Registration(DealDetails):
    customer_contact: Personal | None = None
    sales_activity: Personal


class KnownPartner(Value):
    """The partner as deal-svc has read of it. `terms_version`: of the terms that it accepted."""

    partner_id: UUID
    status: PartnerStatus
    time_zone: str
    terms_version: Code | None
    version: int

    @property
    def basis(self) -> Basis:
        return Basis(topic="prm.partners", aggregate_id=self.partner_id, version=self.version)

    def refuse_unless_active(self) -> None:
        if self.status != "active":
            raise PartnerNotActive(self.partner_id, self.status)


def priced(lines: Sequence[NamedLine], families: Mapping[UUID, Code]) -> tuple[DealLine, ...]:
    """The lines with their products' families. Raises ProductsUnknown."""
    unknown = {line.product_id for line in lines} - families.keys()
    if unknown:
        raise ProductsUnknown(tuple(sorted(unknown)))
    return tuple(
        DealLine(
            product_id=line.product_id,
            family=families[line.product_id],
            quantity=line.quantity,
            unit_price_minor=line.unit_price_minor,
        )
        for line in lines
    )


def total_of(lines: Sequence[DealLine]) -> int:
    """In minor units. Raises AmountTooLarge."""
    total = sum(line.quantity * line.unit_price_minor for line in lines)
    if total > MAX_MINOR_UNITS:
        raise AmountTooLarge
    return total


def refuse_impossible(details: DealDetails, zone: str, now: datetime) -> None:
    for field, value, codes in (
        ("/body/customer/country", details.customer.country, COUNTRIES),
        ("/body/currency", details.currency, CURRENCIES),
    ):
        if value not in codes:
            raise CodeUnknown(field, value)
    today = now.astimezone(zone_of(zone)).date()
    if not today <= details.expected_close_on <= today + CLOSES_WITHIN:
        raise CloseDateOutOfRange(today, today + CLOSES_WITHIN)
