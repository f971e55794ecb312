"""Facts in: what a worker declares. The delivery runs it, each fact once in effect."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.context import Context
from chassis.sql import Statement
from chassis.store import Recorded, Store
from prm_contracts.facts import F, Fact, Topic


@dataclass(frozen=True)
class Policy:
    """`key`: part of the id of the command that it causes; never changes once released."""

    fact: type[Fact]
    then: Callable[[Store, Context, Recorded[Any]], Awaitable[object]]
    key: str


@dataclass(frozen=True)
class Projection:
    """One read model. Its name, the statement's, is the subscriber that is tracked."""

    topic: Topic[Any]
    statement: Callable[[Recorded[Any]], Statement | None]
    name: str


@dataclass(frozen=True)
class Due:
    """A deadline that fires: of which aggregate, set by which version of it, for which instant."""

    aggregate_id: UUID
    version: int
    due_at: datetime


@dataclass(frozen=True)
class Pending:
    """What a fact does to an aggregate's deadline of one rule: sets it anew, or lifts it."""

    due_at: datetime | None


LIFTED = Pending(None)


@dataclass(frozen=True)
class DeadlineRule:
    """`pending`: None where the fact leaves the deadline as it is. `key`: as in Policy."""

    topic: Topic[Any]
    pending: Callable[[Recorded[Any]], Pending | None]
    then: Callable[[Store, Context, Due], Awaitable[object]]
    key: str


def whenever(
    fact: type[F], then: Callable[[Store, Context, Recorded[F]], Awaitable[object]], key: str
) -> Policy:
    """Proves that `then` takes this fact. The topic follows: a fact lies on one topic only."""
    return Policy(fact, then, key)


def project(topic: Topic[F], statement: Callable[[Recorded[F]], Statement | None]) -> Projection:
    """Proves that the read model knows every fact of the topic."""
    return Projection(topic, statement, statement.__name__)


def deadline(
    topic: Topic[F],
    pending: Callable[[Recorded[F]], Pending | None],
    then: Callable[[Store, Context, Due], Awaitable[object]],
    key: str,
) -> DeadlineRule:
    """Proves that the rule knows every fact of the topic, and that `then` takes what is due."""
    return DeadlineRule(topic, pending, then, key)
