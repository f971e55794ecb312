"""The one approval machine: whom a step waits for, and what speaks against a decider."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from prm_contracts.values import Role


class Objection(StrEnum):
    """Why a person may not decide; each item that is approved has a refusal of its own for it."""

    PARTNER_STAFF = "partner-staff"
    ROLE = "role"
    SAME_PERSON = "same-person"
    LIMIT = "limit"


@dataclass(frozen=True)
class Step:
    """`limit_minor`: up to which amount the role decides, in the item's currency; None: any."""

    role: Role
    limit_minor: int | None = None


@dataclass(frozen=True)
class Decider:
    """`limit_minor`: the person's own, in the item's currency; None: has none and approves nothing.

    `is_vendor`: of the vendor's people, not of a partner's.
    """

    person: UUID
    is_vendor: bool
    roles: frozenset[str]
    limit_minor: int | None


@dataclass(frozen=True)
class Item:
    """What is decided on. `had_a_hand`: who submitted it or decided one of its steps already."""

    amount_minor: int
    had_a_hand: frozenset[UUID]


def opening_step(steps: Sequence[Step], amount_minor: int) -> int:
    """The number, from 1, of the first step that may decide the amount; the last if none may."""
    for number, step in enumerate(steps, start=1):
        if step.limit_minor is None or amount_minor <= step.limit_minor:
            return number
    return len(steps)


def objection_to_deciding(
    decider: Decider, item: Item, steps: Sequence[Step], opened: int
) -> Objection | None:
    """Roles of the opened step or a later one decide. Four eyes go by person, not by role."""
    if not decider.is_vendor:
        return Objection.PARTNER_STAFF
    if decider.roles.isdisjoint(step.role for step in steps[opened - 1 :]):
        return Objection.ROLE
    if decider.person in item.had_a_hand:
        return Objection.SAME_PERSON
    return None


def objection_to_approving(
    decider: Decider, item: Item, steps: Sequence[Step], opened: int
) -> Objection | None:
    """As for deciding; besides, the amount must lie within the person's own limit."""
    objection = objection_to_deciding(decider, item, steps, opened)
    if objection is None and (
        decider.limit_minor is None or item.amount_minor > decider.limit_minor
    ):
        return Objection.LIMIT
    return objection
