"""Questions about price books, products and customers."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel

from chassis.sql import Statement
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


def price_books() -> Statement:
    """By code."""
    return Statement(
        "SELECT document, sort_key FROM price_book_list"
        " WHERE (%(after)s::text IS NULL OR sort_key > %(after)s::text)"
        " ORDER BY sort_key LIMIT %(limit)s",
        {},
    )


def price_book(price_book_id: UUID) -> Statement:
    return Statement(
        "SELECT document, version FROM price_book_list WHERE price_book_id = %(id)s",
        {"id": price_book_id},
    )


def products(family: Code | None) -> Statement:
    """By stock keeping unit."""
    return Statement(
        "SELECT document, sort_key FROM product_list"
        " WHERE (%(family)s::text IS NULL OR family = %(family)s)"
        " AND (%(after)s::text IS NULL OR sort_key > %(after)s::text)"
        " ORDER BY sort_key LIMIT %(limit)s",
        {"family": family},
    )


def product(product_id: UUID) -> Statement:
    return Statement(
        "SELECT document, version FROM product_list WHERE product_id = %(id)s", {"id": product_id}
    )


def customers(country: Country | None) -> Statement:
    """By normalised name. For the vendor's people only: whose customer it is says a lot."""
    return Statement(
        "SELECT document, sort_key FROM customer_list"
        " WHERE (%(country)s::text IS NULL OR country = %(country)s)"
        " AND (%(after)s::text IS NULL OR sort_key > %(after)s::text)"
        " ORDER BY sort_key LIMIT %(limit)s",
        {"country": country},
    )


def customer(customer_id: UUID) -> Statement:
    return Statement(
        "SELECT document, version FROM customer_list WHERE customer_id = %(id)s",
        {"id": customer_id},
    )
