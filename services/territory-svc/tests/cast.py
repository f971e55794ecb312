"""The cast that the tests of territory-svc share: partners, people, territories, subjects."""

from datetime import UTC, datetime
from uuid import UUID

from chassis.context import Actor
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
