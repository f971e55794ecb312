"""Who the customer is that a partner names: look-up, resolution, unique keys."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from chassis.aggregates import Aggregate
from chassis.context import Context
from chassis.sql import Statement
from chassis.store import Store
from deal_svc.domain.customer import Customer, KeyScope, Resolution, resolve, unique_keys
from deal_svc.domain.customer_keys import NamedCustomer, Profile
from deal_svc.domain.matching import SCORER_VERSION, normalise
from deal_svc.domain.reservation import KeyReservation, reservation_id
from prm_contracts.customers import CustomerFact, DealReservationFact, EndCustomer
from prm_contracts.facts import Value

LOOKED_AT = 200  # candidates, those that share the most beginnings of words first


class KnownKey(Value):
    customer_id: UUID
    kind: str
    key: str


@dataclass(frozen=True)
class LookedUp:
    """What is known around a customer as a partner names it."""

    reservations: dict[KeyScope, KeyReservation]
    profiles: list[Profile]

    @property
    def holders(self) -> dict[KeyScope, UUID | None]:
        return {scope: reservation.held_by for scope, reservation in self.reservations.items()}


@dataclass(frozen=True)
class ResolvedCustomer:
    """`changed`: what is to be saved in the append that names the customer."""

    customer: EndCustomer
    changed: tuple[Aggregate[CustomerFact] | Aggregate[DealReservationFact], ...]


async def resolve_customer(store: Store, ctx: Context, named: NamedCustomer) -> ResolvedCustomer:
    """Two that name the same new customer at once clash on its keys; the later one finds it."""
    known = await look_up(store, named)
    found = resolve(named, known.holders, known.profiles)
    if found.customer_id:
        customer = await store.load(Customer, found.customer_id)
        customer.add_keys(named)
    else:
        customer = Customer(ctx.new_id("customer"))
        customer.resolve(named)
    for scope, reservation in known.reservations.items():
        if reservation.held_by is None:
            reservation.reserve(scope, customer.id)
    end_customer = as_resolved(named, customer.id, found)
    return ResolvedCustomer(end_customer, (customer, *known.reservations.values()))


async def look_up(store: Store, named: NamedCustomer) -> LookedUp:
    """The reservations first: rows of whoever holds one are there by then."""
    keys = unique_keys(named)
    ids = [reservation_id(f"customer-{scope}", *key) for scope, key in keys.items()]
    found = await store.load_many_or_new(KeyReservation, ids)
    reservations = dict(zip(keys, found, strict=True))
    holders = {reservation.held_by for reservation in reservations.values()} - {None}
    return LookedUp(reservations, await profiles(store, named, holders))


async def profiles(
    store: Store, named: NamedCustomer, holders: Collection[UUID | None]
) -> list[Profile]:
    """Of the holders, and of customers in the country whose names have beginnings in common."""
    query = Statement(
        "SELECT customer_id, kind, key FROM customer_keys WHERE customer_id IN ("
        " SELECT unnest(%(holders)s::uuid[]) UNION (SELECT customer_id FROM customer_keys"
        " WHERE country = %(country)s AND kind = 'beginning' AND key = ANY(%(beginnings)s)"
        " GROUP BY customer_id ORDER BY count(*) DESC, customer_id LIMIT %(limit)s))",
        {
            "holders": list(holders),
            "country": named.country,
            "beginnings": sorted({word[:3] for word in normalise(named.name).split()}),
            "limit": LOOKED_AT,
        },
    )
    keys: dict[UUID, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for row in await store.rows(KnownKey, query):
        keys[row.customer_id][row.kind].add(row.key)
    return [
        Profile(
            customer_id=customer_id,
            names=frozenset(known["name"]),
            domains=frozenset(known["domain"]),
            duns=frozenset(known["duns"]),
            tax_ids=frozenset(known["tax-id"]),
            postal_codes=frozenset(known["postal-code"]),
        )
        for customer_id, known in keys.items()
    ]


def as_resolved(named: NamedCustomer, customer_id: UUID, found: Resolution) -> EndCustomer:
    return EndCustomer(
        customer_id=customer_id,
        name=named.name,
        country=named.country,
        subdivision=named.subdivision,
        postal_code=named.postal_code,
        domain=named.domain,
        duns=named.duns,
        tax_id=named.tax_id,
        band=found.band,
        scorer_version=SCORER_VERSION,
        similar=found.similar,
    )


def as_named(customer: EndCustomer) -> NamedCustomer:
    """What the partner said, so that it can be looked up again."""
    return NamedCustomer(
        name=customer.name,
        country=customer.country,
        subdivision=customer.subdivision,
        postal_code=customer.postal_code,
        domain=customer.domain,
        duns=customer.duns,
        tax_id=customer.tax_id,
    )
