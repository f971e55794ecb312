"""An end customer, and how the one that a partner names is resolved to a known one."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal, assert_never
from uuid import UUID

from chassis.aggregates import Aggregate
from chassis.errors import NotFound
from deal_svc.domain.customer_keys import NamedCustomer, Profile
from deal_svc.domain.matching import (
    NORMALISER_VERSION,
    POSSIBLE_FROM,
    STRONG_FROM,
    company_domain,
    normalise,
    points,
)
from prm_contracts.customers import (
    Band,
    CustomerFact,
    CustomerKeysAdded,
    CustomerLike,
    CustomerResolved,
)

SIMILAR_LISTED = 10
KeyScope = Literal["tax-id", "duns", "domain", "name"]  # from the hardest to the softest


class CustomerNotFound(NotFound):
    """There is no such customer."""


@dataclass(frozen=True)
class Resolution:
    """`customer_id` None: nobody known. `similar`: others, from T2, the most alike first."""

    customer_id: UUID | None
    band: Band
    similar: tuple[CustomerLike, ...] = field(default=())


def unique_keys(named: NamedCustomer) -> dict[KeyScope, tuple[str, ...]]:
    """Each key that one customer alone may hold. Tax ids and names are unique by country."""
    keys: dict[KeyScope, tuple[str, ...]] = {}
    if named.tax_id:
        keys["tax-id"] = (named.country, named.tax_id)
    if named.duns:
        keys["duns"] = (named.duns,)
    if domain := company_domain(named.domain):
        keys["domain"] = (domain,)
    return keys | {"name": (named.country, normalise(named.name))}


def resolve(
    named: NamedCustomer, holders: Mapping[KeyScope, UUID | None], known: Collection[Profile]
) -> Resolution:
    """Whom the partner means: the holder of the hardest key, else the one most alike from T1.

    `holders`: of each unique key. `known`: profiles of the holders and of other candidates.
    """
    profiles = {profile.customer_id: profile for profile in known}
    similar = alike(named, known, holders)
    for holder in filter(None, holders.values()):
        if not profiles[holder].contradicts(named):
            return Resolution(holder, "exact", _others(similar, holder))
    if similar and similar[0].points >= STRONG_FROM:
        return Resolution(similar[0].customer_id, "strong", similar[1:])
    return Resolution(None, "possible" if similar else "none", similar)


def alike(
    named: NamedCustomer,
    known: Collection[Profile],
    holders: Mapping[KeyScope, UUID | None] | None = None,
) -> tuple[CustomerLike, ...]:
    """Customers from T2 on, the most alike first; who holds one of the keys is strong at least,
    save where another key contradicts: that is for a person to look at.
    """
    name = normalise(named.name)
    found = []
    for profile in known:
        total, evidence = points(named, name, profile)
        for scope, holder in (holders or {}).items():
            if holder == profile.customer_id:
                least = STRONG_FROM - 1 if profile.contradicts(named) else STRONG_FROM
                total, evidence = max(total, least), evidence | {scope: 1000}
        if total >= POSSIBLE_FROM:
            like = CustomerLike(customer_id=profile.customer_id, points=total, evidence=evidence)
            found.append(like)
    found.sort(key=lambda like: (-like.points, like.customer_id))
    return tuple(found[:SIMILAR_LISTED])


def _others(similar: tuple[CustomerLike, ...], found: UUID) -> tuple[CustomerLike, ...]:
    return tuple(like for like in similar if like.customer_id != found)


class Customer(Aggregate[CustomerFact]):
    not_found = CustomerNotFound
    names: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()  # domains, D-U-N-S numbers, tax ids

    def resolve(self, named: NamedCustomer) -> None:
        """Nobody had named this customer before."""
        self.record(
            CustomerResolved(
                name=named.name,
                normalised_name=normalise(named.name),
                normaliser_version=NORMALISER_VERSION,
                country=named.country,
                subdivision=named.subdivision,
                postal_code=named.postal_code,
                domain=company_domain(named.domain),
                duns=named.duns,
                tax_id=named.tax_id,
            )
        )

    def add_keys(self, named: NamedCustomer) -> None:
        """Keeps what was not known of it yet."""
        name, domain = normalise(named.name), company_domain(named.domain)
        added = CustomerKeysAdded(
            normalised_name=None if name in self.names else name,
            domain=self._new(domain),
            duns=self._new(named.duns),
            tax_id=self._new(named.tax_id),
        )
        if added != CustomerKeysAdded():
            self.record(added)

    def _new(self, key: str | None) -> str | None:
        return None if key in self.keys else key

    def apply(self, fact: CustomerFact) -> None:
        match fact:
            case CustomerResolved() | CustomerKeysAdded():
                self.names = (*self.names, *filter(None, (fact.normalised_name,)))
                self.keys = (*self.keys, *filter(None, (fact.domain, fact.duns, fact.tax_id)))
            case _:
                assert_never(fact)
