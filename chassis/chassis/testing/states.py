"""Tables of every command in every state: it does something, changes nothing, or is refused."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Literal, TypeVar

from chassis.aggregates import Aggregate
from chassis.errors import Refusal

A = TypeVar("A", bound=Aggregate[Any])
S = TypeVar("S", bound=StrEnum)
Outcome = Literal["does", "nothing"] | type[Refusal]


def only(outcome: Outcome, *states: S, else_: Outcome) -> dict[S, Outcome]:
    """For all states that there are."""
    return {state: outcome if state in states else else_ for state in type(states[0])}


def outcome_of(told: A, command: Callable[[A], object]) -> Outcome:
    """A refusal must have recorded nothing."""
    try:
        command(told)
    except Refusal as refusal:
        assert not told.pending  # noqa: S101 - of the test kit
        return type(refusal)
    return "does" if told.pending else "nothing"
