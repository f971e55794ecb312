"""Commands on price books."""

from uuid import UUID

from chassis.context import Context
from chassis.store import Saved, Store
from deal_svc.application.external_ids import reserved_external_ids
from deal_svc.domain.price_book import NewProduct, PriceBook
from deal_svc.domain.reservation import KeyReservation, reservation_id
from prm_contracts.values import Code, Currency, Name

SCOPE = "price-book"


async def open_price_book(
    store: Store, ctx: Context, code: Code, name: Name, currency: Currency
) -> Saved:
    book = PriceBook(ctx.new_id("price-book"))
    key = await store.load_or_new(KeyReservation, reservation_id(SCOPE, code))
    book.open(ctx.actor, code, name, currency)
    key.reserve(SCOPE, book.id)
    return await store.save(ctx, book, key)


async def define_family(
    store: Store, ctx: Context, price_book_id: UUID, family: Code, name: Name
) -> Saved:
    book = await store.load_addressed(ctx, PriceBook, price_book_id)
    book.define_family(ctx.actor, family, name)
    return await store.save(ctx, book)


async def list_product(
    store: Store, ctx: Context, price_book_id: UUID, product_id: UUID, product: NewProduct
) -> Saved:
    book = await store.load_addressed(ctx, PriceBook, price_book_id)
    book.list_product(ctx.actor, product_id, product)
    external = await reserved_external_ids(store, "product", product_id, product.external_ids)
    return await store.save(ctx, book, *external)
