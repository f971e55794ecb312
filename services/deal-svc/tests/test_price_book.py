"""Price books: families first, then their products."""

from uuid import UUID

import pytest

from deal_svc.domain.price_book import (
    FamilyAlreadyDefined,
    FamilyUndefined,
    NewProduct,
    PriceBook,
    SkuAlreadyListed,
)
from prm_contracts.price_books import FamilyDefined, PriceBookOpened, ProductListed

from .cast import BACKUP, FIREWALL, OPERATIONS, PRICE_BOOK

PRODUCT = NewProduct(
    sku="bk-100", name="Backup 100", family="backup", unit="licence", list_price_minor=100_000
)


@pytest.fixture
def book() -> PriceBook:
    """With one family and no products."""
    book = PriceBook(PRICE_BOOK)
    book.open(OPERATIONS, "emea", "EMEA 2027", "EUR")
    book.define_family(OPERATIONS, "backup", "Backup")
    return book


def test_a_price_book_opens_with_a_currency(book: PriceBook) -> None:
    by = OPERATIONS.id

    assert book.pending == [
        PriceBookOpened(code="emea", name="EMEA 2027", currency="EUR", opened_by=by),
        FamilyDefined(family="backup", name="Backup", defined_by=by),
    ]


def test_a_family_is_defined_once(book: PriceBook) -> None:
    with pytest.raises(FamilyAlreadyDefined):
        book.define_family(OPERATIONS, "backup", "Backup again")


def test_a_product_belongs_to_a_family_of_its_price_book(book: PriceBook) -> None:
    with pytest.raises(FamilyUndefined):
        book.list_product(OPERATIONS, FIREWALL, PRODUCT.model_copy(update={"family": "firewall"}))


def test_a_product_is_listed_at_a_price(book: PriceBook) -> None:
    book.list_product(OPERATIONS, BACKUP, PRODUCT)

    assert book.pending[2:] == [
        ProductListed(**dict(PRODUCT), product_id=BACKUP, listed_by=OPERATIONS.id)
    ]


def test_a_stock_keeping_unit_is_listed_once(book: PriceBook) -> None:
    book.list_product(OPERATIONS, BACKUP, PRODUCT)

    with pytest.raises(SkuAlreadyListed):
        book.list_product(OPERATIONS, UUID(int=99), PRODUCT)
