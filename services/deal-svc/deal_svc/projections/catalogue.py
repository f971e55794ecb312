"""Price books, products and customers, as they are listed."""

import json
from typing import assert_never

from chassis.sql import Statement
from chassis.store import Recorded
from prm_contracts.customers import CustomerFact, CustomerKeysAdded, CustomerResolved
from prm_contracts.price_books import FamilyDefined, PriceBookFact, PriceBookOpened, ProductListed


def price_book_list(recorded: Recorded[PriceBookFact]) -> Statement:
    key = {"price_book_id": recorded.aggregate_id, "version": recorded.version}
    match recorded.fact:
        case PriceBookOpened() as book:
            document = {
                "price_book_id": str(recorded.aggregate_id),
                "code": book.code,
                "name": book.name,
                "currency": book.currency,
                "families": [],
                "products": 0,
            }
            return Statement(
                "INSERT INTO price_book_list (price_book_id, version, sort_key, document)"
                " VALUES (%(price_book_id)s, %(version)s, %(code)s, %(document)s::jsonb)"
                " ON CONFLICT DO NOTHING",
                key | {"code": book.code, "document": json.dumps(document)},
            )
        case FamilyDefined() as defined:
            family = {"family": defined.family, "name": defined.name}
            return Statement(
                "UPDATE price_book_list SET version = %(version)s, document = jsonb_set(document,"
                " '{families}', (document -> 'families') || %(family)s::jsonb)"
                " WHERE price_book_id = %(price_book_id)s AND version < %(version)s",
                key | {"family": json.dumps([family])},
            )
        case ProductListed():
            return Statement(
                "UPDATE price_book_list SET version = %(version)s, document = jsonb_set(document,"
                " '{products}', to_jsonb((document ->> 'products')::int + 1))"
                " WHERE price_book_id = %(price_book_id)s AND version < %(version)s",
                key,
            )
        case never:
            assert_never(never)


def product_list(recorded: Recorded[PriceBookFact]) -> Statement | None:
    match recorded.fact:
        case ProductListed() as product:
            document = {
                "product_id": str(product.product_id),
                "price_book_id": str(recorded.aggregate_id),
                **product.model_dump(mode="json", exclude={"product_id", "listed_by"}),
            }
            return Statement(
                "INSERT INTO product_list"
                " (product_id, version, price_book_id, family, sort_key, document)"
                " VALUES (%(product_id)s, %(version)s, %(price_book_id)s, %(family)s,"
                " %(sort_key)s, %(document)s::jsonb) ON CONFLICT DO NOTHING",
                {
                    "product_id": product.product_id,
                    "version": recorded.version,
                    "price_book_id": recorded.aggregate_id,
                    "family": product.family,
                    "sort_key": f"{product.sku} {product.product_id}",
                    "document": json.dumps(document),
                },
            )
        case PriceBookOpened() | FamilyDefined():
            return None
        case never:
            assert_never(never)


def customer_list(recorded: Recorded[CustomerFact]) -> Statement:
    key = {"customer_id": recorded.aggregate_id, "version": recorded.version}
    match recorded.fact:
        case CustomerResolved() as customer:
            document = {
                "customer_id": str(recorded.aggregate_id),
                "name": customer.name,
                "names": [customer.normalised_name],
                "country": customer.country,
                "subdivision": customer.subdivision,
                "postal_code": customer.postal_code,
                "domains": _known(customer.domain),
                "duns": _known(customer.duns),
                "tax_ids": _known(customer.tax_id),
                "status": "provisional",
                "resolved_at": recorded.occurred_at.isoformat(),
            }
            return Statement(
                "INSERT INTO customer_list (customer_id, version, country, sort_key, document)"
                " VALUES (%(customer_id)s, %(version)s, %(country)s, %(sort_key)s,"
                " %(document)s::jsonb) ON CONFLICT DO NOTHING",
                key
                | {
                    "country": customer.country,
                    "sort_key": f"{customer.normalised_name} {recorded.aggregate_id}",
                    "document": json.dumps(document),
                },
            )
        case CustomerKeysAdded() as added:
            return Statement(
                "UPDATE customer_list SET version = %(version)s, document = document ||"
                " jsonb_build_object("
                "'names', (document -> 'names') || %(names)s::jsonb,"
                "'domains', (document -> 'domains') || %(domains)s::jsonb,"
                "'duns', (document -> 'duns') || %(duns)s::jsonb,"
                "'tax_ids', (document -> 'tax_ids') || %(tax_ids)s::jsonb)"
                " WHERE customer_id = %(customer_id)s AND version < %(version)s",
                key
                | {
                    "names": json.dumps(_known(added.normalised_name)),
                    "domains": json.dumps(_known(added.domain)),
                    "duns": json.dumps(_known(added.duns)),
                    "tax_ids": json.dumps(_known(added.tax_id)),
                },
            )
        case never:
            assert_never(never)


def _known(value: str | None) -> list[str]:
    return [] if value is None else [value]
