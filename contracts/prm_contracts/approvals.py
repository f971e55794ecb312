"""Shapes of the one approval machine; each aggregate that is approved names its own facts."""

from pydantic import Field

from prm_contracts.facts import Fact
from prm_contracts.values import ActorId, Code, Currency, Instant, MinorUnits, Role


class StepOpened(Fact):
    """A person's decision is waited for. `step`: from 1. `due_at`: by business hours, if any."""

    step: int = Field(ge=1)
    role: Role
    amount_minor: MinorUnits
    currency: Currency
    due_at: Instant | None = None


class StepDecided(Fact):
    """A step was decided. `outcome`: approved, rejected, or closed since the item left."""

    step: int = Field(ge=1)
    outcome: Code
    decided_by: ActorId
