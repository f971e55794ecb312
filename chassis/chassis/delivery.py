"""What a worker declares: how it reacts to facts, each once in effect, and what it does outside."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString, TypeVar
from uuid import UUID

from chassis.context import Context
from chassis.sql import Database, Statement
from chassis.store import Recorded, Store
from chassis.vault import Vault
from prm_contracts.facts import F, Fact, Topic

O = TypeVar("O")  # noqa: E741 - the outcome of an errand


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
class KeptWithAppend:
    """Tables that a trigger on `events` writes in the transaction of the append, as one read model.

    `trigger`: its name; its function names the tables without their schema. `first_rows`: a
    statement with what they hold where there are no facts yet.
    """

    name: str
    tables: tuple[str, ...]
    trigger: str
    first_rows: LiteralString = ""


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


@dataclass(frozen=True)
class Errand:
    """Work in the outside world: of which aggregate, asked for by which version of it.

    `attempt`: counts from 1; `waited`: real time since it was asked for.
    """

    aggregate_id: UUID
    version: int
    attempt: int
    waited: timedelta


@dataclass(eq=False)
class TryLater(Exception):
    """The outside world says: not now. `reason`: operators read it, nothing personal.

    `concerns_all`: no other errand of the rule would fare better now.
    """

    reason: str
    concerns_all: bool = False


@dataclass(frozen=True)
class Outside:
    """What an errand may use of the service: its own tables, to read, and the personal data."""

    database: Database
    vault: Vault


@dataclass(frozen=True)
class OutboundRule:
    """`pending`: whether the fact asks for an errand (true), ends it, or leaves it as it is (None).

    `run`: does it, outside of any transaction, at least once; raises TryLater. `then`: records its
    outcome, in the transaction that also ends the errand. `key`: as in Policy.
    """

    topic: Topic[Any]
    pending: Callable[[Recorded[Any]], bool | None]
    run: Callable[[Outside, Errand], Awaitable[Any]]
    then: Callable[[Store, Context, Errand, Any], Awaitable[object]]
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


def outbound(
    topic: Topic[F],
    pending: Callable[[Recorded[F]], bool | None],
    run: Callable[[Outside, Errand], Awaitable[O]],
    then: Callable[[Store, Context, Errand, O], Awaitable[object]],
    key: str,
) -> OutboundRule:
    """Proves that the rule knows every fact of the topic, and that `then` takes the outcome."""
    return OutboundRule(topic, pending, run, then, key)
