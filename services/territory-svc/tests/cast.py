"""The cast that the tests of territory-svc share: partners, people, territories, subjects."""

from datetime import UTC, date, datetime
from uuid import UUID

from chassis.context import Actor
from prm_contracts.customers import EndCustomer
from prm_contracts.deals import Claim, DealLine, DealRegistered
from prm_contracts.facts import Personal
from prm_contracts.territories import (
    Assignment,
    AssignmentRole,
    Dimensions,
    TerritoryDefinition,
    TerritoryRule,
)
from territory_svc.domain.cells import PlacedTerritory

NOW = datetime(2027, 3, 1, 9, tzinfo=UTC)
ALPHA, BOREALIS, COBALT = UUID(int=1), UUID(int=2), UUID(int=3)
MANAGER = Actor(UUID(int=11), roles=frozenset({"channel-account-manager"}))
OPERATIONS = Actor(UUID(int=12), roles=frozenset({"channel-operations"}))
HOFFMANN = UUID(int=31)
DEAL = UUID(int=41)


def works(partner_id: UUID, role: AssignmentRole = "exclusive") -> Assignment:
    return Assignment(partner_id=partner_id, role=role)


def defined(code: str, *assignments: Assignment, **rule: object) -> TerritoryDefinition:
    return TerritoryDefinition(
        code=code,
        name=code.upper(),
        rule=TerritoryRule.model_validate(rule),
        assignments=assignments,
    )


def placed(number: int, *assignments: Assignment, **rule: object) -> PlacedTerritory:
    return PlacedTerritory(
        territory_id=UUID(int=100 + number),
        rule=TerritoryRule.model_validate(rule),
        assignments=assignments,
    )


def subject(partner_id: UUID = ALPHA, /, **known: object) -> Dimensions:
    dimensions = {"customer_id": HOFFMANN, "country": "DE", "families": ("backup",)}
    return Dimensions.model_validate({"partner_id": partner_id} | dimensions | known)


def registered(partner_id: UUID = ALPHA, country: str = "DE") -> DealRegistered:
    return DealRegistered(
        partner_id=partner_id,
        seller_id=UUID(int=21),
        registered_by=UUID(int=21),
        deal_type="new",
        customer=EndCustomer(
            customer_id=HOFFMANN,
            name="Hoffmann Logistik GmbH",
            country=country,
            band="none",
            scorer_version="1",
        ),
        lines=(
            DealLine(product_id=UUID(int=51), family="backup", quantity=2, unit_price_minor=100),
        ),
        amount_minor=200,
        currency="EUR",
        expected_close_on=date(2027, 6, 30),
        time_zone="Europe/Berlin",
        claims=(Claim(exclusivity_id=UUID(int=61), version=1, family="backup"),),
        sales_activity=Personal(subject=DEAL, key=UUID(int=62), box="box"),
        terms_version="2027-1",
    )
