"""Price books, products and customers over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import Response

from chassis.errors import NotFound
from chassis.web.http import Accepted, Asker, Ctx, HasPorts, accepted, waits_for
from chassis.web.lists import PageAsked, page_of
from chassis.web.pages import AsOf, Listed, listed, one
from chassis.web.routes import Router
from deal_svc import application
from deal_svc.api.roles import EVERYBODY, OPERATIONS, VENDORS
from deal_svc.domain.customer import CustomerNotFound
from deal_svc.domain.price_book import NewProduct, PriceBookNotFound
from deal_svc.queries import catalogue as queries
from prm_contracts.facts import Value
from prm_contracts.values import Code, Country, Currency, Name

price_books = Router(prefix="/v1/price-books", tags=["price books"])
products = Router(prefix="/v1/products", tags=["price books"])
customers = Router(prefix="/v1/customers", tags=["customers"])


PriceBookPage = Annotated[PageAsked, page_of(queries.PriceBookView, "code", "name")]
ProductPage = Annotated[
    PageAsked, page_of(queries.ProductView, "family", "list_price_minor", "name", "sku")
]
CustomerPage = Annotated[PageAsked, page_of(queries.CustomerView, "country", "name", "resolved_at")]


class ProductNotFound(NotFound):
    """There is no such product."""


class OpenPriceBook(Value):
    code: Code
    name: Name
    currency: Currency


class DefineFamily(Value):
    family: Code
    name: Name


class ProductAccepted(Accepted):
    """`id`: of the price book."""

    product_id: UUID


@price_books.post("", status_code=201, dependencies=[OPERATIONS])
async def open_price_book(
    body: OpenPriceBook, ctx: Ctx, ports: HasPorts, out: Response
) -> Accepted:
    asked = (body.code, body.name, body.currency)
    saved = await ports.events.execute(application.open_price_book, ctx, *asked)
    return accepted(saved, ports, out)


@price_books.post("/{price_book_id}/define-family", dependencies=[OPERATIONS])
async def define_family(
    price_book_id: UUID, body: DefineFamily, ctx: Ctx, ports: HasPorts, out: Response
) -> Accepted:
    asked = (price_book_id, body.family, body.name)
    saved = await ports.events.execute(application.define_family, ctx, *asked)
    return accepted(saved, ports, out)


@price_books.post("/{price_book_id}/list-product", dependencies=[OPERATIONS])
async def list_product(
    price_book_id: UUID, body: NewProduct, ctx: Ctx, ports: HasPorts, out: Response
) -> ProductAccepted:
    product_id = ctx.new_id("product")
    asked = (price_book_id, product_id, body)
    saved = await ports.events.execute(application.list_product, ctx, *asked)
    book = accepted(saved, ports, out)
    return ProductAccepted(id=book.id, version=book.version, product_id=product_id)


@price_books.get(
    "",
    response_model=Listed[queries.PriceBookView],
    dependencies=[EVERYBODY, waits_for("price_book_list")],
)
async def price_book_list(asker: Asker, ports: HasPorts, page: PriceBookPage) -> Response:
    return await listed(ports, asker, page, queries.price_books())


@price_books.get(
    "/{price_book_id}",
    response_model=queries.PriceBookView,
    dependencies=[EVERYBODY, waits_for("price_book_list")],
)
async def price_book(
    price_book_id: UUID, asker: Asker, ports: HasPorts, as_of: AsOf = None
) -> Response:
    query, missing = queries.price_book(price_book_id), PriceBookNotFound(price_book_id)
    return await one(ports, asker, query, missing, as_of=as_of)


@products.get(
    "",
    response_model=Listed[queries.ProductView],
    dependencies=[EVERYBODY, waits_for("product_list")],
)
async def product_list(
    asker: Asker, ports: HasPorts, page: ProductPage, family: Code | None = None
) -> Response:
    return await listed(ports, asker, page, queries.products(family))


@products.get(
    "/{product_id}",
    response_model=queries.ProductView,
    dependencies=[EVERYBODY, waits_for("product_list")],
)
async def product(product_id: UUID, asker: Asker, ports: HasPorts) -> Response:
    """As it is: what it was is to be asked of its price book."""
    return await one(ports, asker, queries.product(product_id), ProductNotFound(product_id))


@customers.get(
    "",
    response_model=Listed[queries.CustomerView],
    dependencies=[VENDORS, waits_for("customer_list")],
)
async def customer_list(
    asker: Asker, ports: HasPorts, page: CustomerPage, country: Country | None = None
) -> Response:
    return await listed(ports, asker, page, queries.customers(country))


@customers.get(
    "/{customer_id}",
    response_model=queries.CustomerView,
    dependencies=[VENDORS, waits_for("customer_list")],
)
async def customer(
    customer_id: UUID, asker: Asker, ports: HasPorts, as_of: AsOf = None
) -> Response:
    query, missing = queries.customer(customer_id), CustomerNotFound(customer_id)
    return await one(ports, asker, query, missing, as_of=as_of)
