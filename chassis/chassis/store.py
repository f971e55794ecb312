"""The event store as a service sees it: what a command may load, read and save."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar
from uuid import UUID

from chassis.aggregates import Aggregate
from chassis.context import Context
from chassis.sql import Statement, V
from prm_contracts.facts import F_co

A = TypeVar("A", bound=Aggregate[Any])
P = ParamSpec("P")


@dataclass(frozen=True)
class Recorded(Generic[F_co]):
    """A fact as it lies in the store and on the topic, with its envelope.

    `version`: of the aggregate, from 1; `position`: in its service's store; `actor_id`: who
    caused it; `chain`: SHA-256 over the aggregate's history up to it.
    """

    fact: F_co
    aggregate_id: UUID
    version: int
    event_id: UUID
    position: int
    occurred_at: datetime
    recorded_at: datetime
    actor_id: UUID
    command_id: UUID
    correlation_id: UUID
    causation_id: UUID | None
    chain: bytes


@dataclass(frozen=True)
class Saved:
    """What a command left: (aggregate id, version) of each, the addressed aggregate first.

    `types`: beside each version a fact type of its aggregate, which tells the topic.
    """

    versions: tuple[tuple[UUID, int], ...]
    is_repeat: bool = False
    types: tuple[str, ...] = field(default=(), compare=False)


class Store(Protocol):
    """What a command of `application` sees: a window, of one command or of a batch of facts."""

    async def load_addressed(self, ctx: Context, kind: type[A], id: UUID) -> A:
        """The one that the caller named. Raises `kind.not_found`, for another tenant's too,
        and only then PreconditionFailed, if `ctx.if_match` is not its version.
        """

    async def load(self, kind: type[A], id: UUID) -> A:
        """One that a fact or another aggregate named. Raises `kind.not_found`."""

    async def load_or_new(self, kind: type[A], id: UUID) -> A: ...

    async def load_many(self, kind: type[A], ids: Iterable[UUID]) -> list[A]:
        """As `load`, in the order of the ids, in one round trip."""

    async def load_many_or_new(self, kind: type[A], ids: Iterable[UUID]) -> list[A]: ...

    async def rows(self, view: type[V], query: Statement) -> list[V]:
        """Rows of this service's own tables as they are at decision time."""

    async def save(self, ctx: Context, *aggregates: Aggregate[Any]) -> Saved:
        """Collects the recorded facts, the addressed aggregate first; the window appends them."""


Command = Callable[Concatenate[Store, Context, P], Awaitable[Saved]]


class EventStore(Protocol):
    """What `api` sees: it runs a command in a window of its own, and again where needed."""

    async def execute(
        self, command: Command[P], ctx: Context, *args: P.args, **kwargs: P.kwargs
    ) -> Saved:
        """Load, decide, append; anew on a clash, at most 5 times, then Unavailable.

        A command id that succeeded before answers with its first outcome. The append looks it up,
        and so does a refusal before it is raised: a repeat decides on a later state.
        """
