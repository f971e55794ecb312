"""Facts of deal-svc about products and their families, which price books own."""

from typing import get_args
from uuid import UUID

from pydantic import Field

from prm_contracts.facts import Fact, Topic
from prm_contracts.values import ActorId, Code, Currency, ExternalId, MinorUnits, Name


class PriceBookOpened(Fact, type="prm.price-book.PriceBookOpened.v1"):
    code: Code
    name: Name
    currency: Currency
    opened_by: ActorId


class FamilyDefined(Fact, type="prm.price-book.FamilyDefined.v1"):
    """A product family; exclusivity is held by family."""

    family: Code
    name: Name
    defined_by: ActorId


class ProductListed(Fact, type="prm.price-book.ProductListed.v1"):
    """`list_price_minor`: of one unit, in the price book's currency."""

    product_id: UUID
    sku: Code
    name: Name
    family: Code
    unit: str = Field(min_length=1, max_length=20)
    list_price_minor: MinorUnits
    external_ids: tuple[ExternalId, ...] = ()
    listed_by: ActorId


PriceBookFact = PriceBookOpened | FamilyDefined | ProductListed

PRICE_BOOKS = Topic[PriceBookFact]("prm.price-books", get_args(PriceBookFact), "deal-svc")
