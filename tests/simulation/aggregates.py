"""Aggregates as what lies in a simulated store makes them, for those who look at the end."""

from typing import Any, TypeVar
from uuid import UUID

from chassis.aggregates import Aggregate
from prm_contracts.facts import Fact, decode

from .database import Database, Event

A = TypeVar("A", bound=Aggregate[Any])


def fact_of(event: Event) -> Any:
    return decode(event.type, event.data)


def replayed(database: Database, first: type[Fact], kind: type[A]) -> dict[UUID, A]:
    """Those whose streams begin with such a fact."""
    found = {}
    for its_id, stream in database.streams.items():
        if stream and stream[0].type == first.fact_type:
            found[its_id] = kind(its_id)
            for event in stream:
                found[its_id].replay(fact_of(event))
    return found
