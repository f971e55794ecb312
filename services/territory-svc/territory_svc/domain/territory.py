"""A part of the market with those who work it; only an activated alignment changes it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import assert_never
from uuid import UUID

from chassis.aggregates import Aggregate
from chassis.errors import Conflict, NotFound
from prm_contracts.territories import (
    TerritoryActivated,
    TerritoryDefinition,
    TerritoryFact,
    TerritoryRetired,
)


class Status(StrEnum):
    ACTIVE = "active"
    RETIRED = "retired"


@dataclass(frozen=True)
class Switch:
    """What an activation tells each territory: by which alignment, counted how, from when."""

    alignment_id: UUID
    alignment_version: int
    effective_at: datetime


class TerritoryNotFound(NotFound):
    """There is no such territory, or it is not yours."""


@dataclass(eq=False)
class TerritoryIsRetired(Conflict):
    """A retired territory stays retired: define a new one, without a territory id."""

    territory_id: UUID


class Territory(Aggregate[TerritoryFact]):
    """A new one has no definition until its alignment is activated."""

    not_found = TerritoryNotFound
    status: Status | None = None
    code: str | None = None
    alignment_version: int = 0  # of the last change

    def ensure_changeable(self) -> None:
        if self.status is Status.RETIRED:
            raise TerritoryIsRetired(self.id)

    def activate(self, definition: TerritoryDefinition, switch: Switch) -> None:
        self.ensure_changeable()
        self.record(
            TerritoryActivated(
                alignment_id=switch.alignment_id,
                alignment_version=switch.alignment_version,
                effective_at=switch.effective_at,
                definition=definition,
            )
        )

    def retire(self, switch: Switch) -> None:
        """One that was only ever drafted, or has been retired before, has nothing to retire."""
        if self.status is Status.ACTIVE:
            self.record(
                TerritoryRetired(
                    alignment_id=switch.alignment_id,
                    alignment_version=switch.alignment_version,
                    effective_at=switch.effective_at,
                )
            )

    def apply(self, fact: TerritoryFact) -> None:
        match fact:
            case TerritoryActivated():
                self.status, self.code = Status.ACTIVE, fact.definition.code
                self.alignment_version = fact.alignment_version
            case TerritoryRetired():
                self.status, self.code = Status.RETIRED, None
                self.alignment_version = fact.alignment_version
            case _:
                assert_never(fact)
