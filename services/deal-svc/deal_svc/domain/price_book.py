"""A price book: the families and products that deals are registered for."""

from dataclasses import dataclass
from typing import assert_never
from uuid import UUID

from pydantic import Field

from chassis.aggregates import Aggregate
from chassis.context import Actor
from chassis.errors import Conflict, NotFound
from prm_contracts.facts import Value
from prm_contracts.price_books import FamilyDefined, PriceBookFact, PriceBookOpened, ProductListed
from prm_contracts.values import Code, Currency, ExternalId, MinorUnits, Name


class PriceBookNotFound(NotFound):
    """There is no such price book."""


@dataclass(eq=False)
class FamilyAlreadyDefined(Conflict):
    """A price book defines a family once: list products of it as it is."""

    family: str


@dataclass(eq=False)
class FamilyUndefined(Conflict):
    """A product belongs to a family of its price book: define the family first."""

    family: str


@dataclass(eq=False)
class SkuAlreadyListed(Conflict):
    """A price book lists a stock keeping unit once: take another SKU."""

    sku: str


class NewProduct(Value):
    """`list_price_minor`: of one unit, in the price book's currency."""

    sku: Code
    name: Name
    family: Code
    unit: str
    list_price_minor: MinorUnits
    external_ids: tuple[ExternalId, ...] = Field((), max_length=20)


class PriceBook(Aggregate[PriceBookFact]):
    not_found = PriceBookNotFound
    families: tuple[str, ...] = ()
    skus: tuple[str, ...] = ()

    def open(self, actor: Actor, code: Code, name: Name, currency: Currency) -> None:
        self.record(PriceBookOpened(code=code, name=name, currency=currency, opened_by=actor.id))

    def define_family(self, actor: Actor, family: Code, name: Name) -> None:
        if family in self.families:
            raise FamilyAlreadyDefined(family)
        self.record(FamilyDefined(family=family, name=name, defined_by=actor.id))

    def list_product(self, actor: Actor, product_id: UUID, product: NewProduct) -> None:
        if product.family not in self.families:
            raise FamilyUndefined(product.family)
        if product.sku in self.skus:
            raise SkuAlreadyListed(product.sku)
        self.record(
            ProductListed(
                product_id=product_id,
                sku=product.sku,
                name=product.name,
                family=product.family,
                unit=product.unit,
                list_price_minor=product.list_price_minor,
                external_ids=product.external_ids,
                listed_by=actor.id,
            )
        )

    def apply(self, fact: PriceBookFact) -> None:
        match fact:
            case PriceBookOpened():
                pass  # whose code it is stands in the reservation
            case FamilyDefined():
                self.families = (*self.families, fact.family)
            case ProductListed():
                self.skus = (*self.skus, fact.sku)
            case _:
                assert_never(fact)
