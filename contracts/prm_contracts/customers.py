"""Facts of deal-svc about end customers, and what a deal says of its customer."""

from typing import Annotated, Literal, get_args
from uuid import UUID

from pydantic import Field

from prm_contracts.facts import Fact, Topic, Value
from prm_contracts.values import (
    Code,
    Country,
    Domain,
    Duns,
    ExternalId,
    Name,
    PostalCode,
    Subdivision,
    TaxId,
)

Points = Annotated[int, Field(ge=0, le=1000, description="integer of 1,000")]
# exact: a hard key or the normalised name is equal; strong: from T1; possible: from T2 to below T1.
Band = Literal["exact", "strong", "possible", "none"]


class CustomerLike(Value):
    """Another customer that this one may be. `evidence`: points of each part of the score."""

    customer_id: UUID
    points: Points
    evidence: dict[str, int] = Field(default_factory=dict)


class EndCustomer(Value):
    """The customer as the partner named it, and whom it was resolved to.

    `band`: how it was found; `none`: nobody was alike. `similar`: the most alike others, best
    first, by the scorer's version.
    """

    customer_id: UUID
    name: Name
    country: Country
    subdivision: Subdivision | None = None
    postal_code: PostalCode | None = None
    domain: Domain | None = None
    duns: Duns | None = None
    tax_id: TaxId | None = None
    band: Band
    scorer_version: Code
    similar: tuple[CustomerLike, ...] = Field((), max_length=10)


class CustomerResolved(Fact, type="prm.customer.CustomerResolved.v1"):
    """A customer that nobody had named before; provisional until it is confirmed."""

    name: Name
    normalised_name: str = Field(min_length=1, max_length=200)
    normaliser_version: Code
    country: Country
    subdivision: Subdivision | None = None
    postal_code: PostalCode | None = None
    domain: Domain | None = None
    duns: Duns | None = None
    tax_id: TaxId | None = None
    external_ids: tuple[ExternalId, ...] = ()


class CustomerKeysAdded(Fact, type="prm.customer.CustomerKeysAdded.v1"):
    """A later deal named the customer by keys or a name that were not known of it yet."""

    normalised_name: str | None = Field(None, min_length=1, max_length=200)
    domain: Domain | None = None
    duns: Duns | None = None
    tax_id: TaxId | None = None


class DealKeyReserved(Fact, type="prm.deal-reservation.KeyReserved.v1"):
    """One holder a key, here a customer's tax id, D-U-N-S number, domain or (name, country)."""

    scope: Code
    held_by: UUID


class DealKeyReleased(Fact, type="prm.deal-reservation.KeyReleased.v1"):
    scope: Code
    held_by: UUID


CustomerFact = CustomerResolved | CustomerKeysAdded
DealReservationFact = DealKeyReserved | DealKeyReleased

CUSTOMERS = Topic[CustomerFact]("prm.customers", get_args(CustomerFact), "deal-svc")
DEAL_RESERVATIONS = Topic[DealReservationFact](
    "prm.deal-svc-reservations", get_args(DealReservationFact), "deal-svc"
)
