"""Questions about price books, products and customers."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel

from chassis.sql import Listing, Statement
from prm_contracts.values import Code, Country, ExternalId, Instant


class FamilyView(BaseModel):
    family: str
    name: str


class PriceBookView(BaseModel):
    """`products`: how many it lists."""

    price_book_id: UUID
    code: str
    name: str
    currency: str
    families: tuple[FamilyView, ...]
    products: int


class ProductView(BaseModel):
    product_id: UUID
    price_book_id: UUID
    sku: str
    name: str
    family: str
    unit: str
    list_price_minor: int
    external_ids: tuple[ExternalId, ...]


class CustomerView(BaseModel):
    """`names`: normalised, as later deals named it too."""

    customer_id: UUID
    name: str
    names: tuple[str, ...]
    country: str
    subdivision: str | None
    postal_code: str | None
    domains: tuple[str, ...]
    duns: tuple[str, ...]
    tax_ids: tuple[str, ...]
    status: Literal["provisional"]
    resolved_at: Instant


def price_books() -> Listing:
    """By code."""
    return Listing(table="price_book_list", aggregate_id="price_book_id")


def price_book(price_book_id: UUID) -> Statement:
    return Statement(
        "SELECT document, version FROM price_book_list WHERE price_book_id = %(id)s",
        {"id": price_book_id},
    )


def products(family: Code | None) -> Listing:
    """By stock keeping unit."""
    return Listing(
        table="product_list",
        aggregate_id="price_book_id",
        where="%(family)s::text IS NULL OR family = %(family)s",
        values={"family": family},
    )


def product(product_id: UUID) -> Statement:
    return Statement(
        "SELECT document, version FROM product_list WHERE product_id = %(id)s", {"id": product_id}
    )


def customers(country: Country | None) -> Listing:
    """By normalised name. For the vendor's people only: whose customer it is says a lot."""
    return Listing(
        table="customer_list",
        aggregate_id="customer_id",
        where="%(country)s::text IS NULL OR country = %(country)s",
        values={"country": country},
    )


def customer(customer_id: UUID) -> Statement:
    return Statement(
        "SELECT document, version FROM customer_list WHERE customer_id = %(id)s",
        {"id": customer_id},
    )
