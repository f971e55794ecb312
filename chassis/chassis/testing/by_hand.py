"""A service on a real database without a broker: its facts are delivered by hand."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4, uuid5

import psycopg
from pydantic import BaseModel

from chassis.context import Actor, Context
from chassis.delivery import DeadlineRule, Due, Policy, Projection
from chassis.sql import Listing, Statement
from chassis.storage.event_store import PostgresEventStore
from chassis.storage.postgres import connected
from chassis.storage.window import Window, known_commands
from chassis.store import Command, P, Recorded, Saved
from chassis.testing import NOW, StoredFact, a_command, stored_facts
from chassis.web.lists import PageAsked, page
from prm_contracts.facts import Fact

POLICIES_ACTOR = Actor(UUID(int=5))
# Nobody tries again here as a worker does, and a process among many may stand still for seconds.
PATIENT = {"idle_in_transaction_session_timeout": "60s"}


class _Document(BaseModel):
    document: dict[str, Any]


class ByHand:
    """In order, each fact once; with the same event id again. `now`: of people and policies;
    `delivered`: the last position of its own facts that it has reacted to.
    """

    def __init__(
        self,
        dsn: str,
        events: PostgresEventStore,
        projections: Sequence[Projection],
        policies: Sequence[Policy],
        now: datetime = NOW,
    ) -> None:
        self.dsn, self.events, self.now = dsn, events, now
        self._projections, self._policies = projections, policies
        self.delivered = 0

    def command(self, actor: Actor, id: UUID | None = None) -> Context:
        return a_command(actor, now=self.now, id=id)

    async def tell(
        self, command: Command[P], actor: Actor, *args: P.args, **kwargs: P.kwargs
    ) -> Saved:
        return await self.events.execute(command, self.command(actor), *args, **kwargs)

    async def deliver(
        self, aggregate_id: UUID, version: int, fact: Fact, event_id: UUID | None = None
    ) -> None:
        """A fact from another service's topic."""
        await self.react(StoredFact(version, aggregate_id, version, event_id or uuid4(), fact))

    async def settle(self) -> None:
        """Delivers this service's own facts until nothing new is recorded."""
        while waiting := [each for each in self.stored() if each.position > self.delivered]:
            for each in waiting:
                await self.react(each)
                self.delivered = each.position

    async def react(self, stored: StoredFact) -> None:
        recorded = self._recorded(stored)
        with psycopg.connect(self.dsn) as connection:
            for projection in self._projections:
                if isinstance(stored.fact, projection.topic.facts):
                    statement = projection.statement(recorded)
                    if statement:
                        connection.execute(statement.sql, statement.values)
        for policy in self._policies:
            if isinstance(stored.fact, policy.fact):
                command_id = uuid5(stored.event_id, policy.key)
                await self._run(policy.then, recorded, command_id, stored.event_id)

    async def fire(self, rule: DeadlineRule, due: Due) -> None:
        await self._run(rule.then, due, uuid4(), uuid4())
        await self.settle()

    async def _run(self, then: Any, told: Any, command_id: UUID, cause: UUID) -> None:
        """In a transaction of its own, as a delivery does: what it reads may be locked."""
        async with await connected(self.dsn, PATIENT, autocommit=False) as connection:
            if not await known_commands(connection, [command_id]):
                window = Window.on(connection)
                context = Context(POLICIES_ACTOR, self.now, command_id, cause, cause)
                await then(window, context, told)
                await window.append_and_commit(self.now)

    def stored(self) -> list[StoredFact]:
        return stored_facts(self.dsn)

    def facts(self, *kinds: type[Fact]) -> list[Fact]:
        return [each.fact for each in self.stored() if isinstance(each.fact, kinds)]

    def facts_of(self, aggregate_id: UUID) -> list[Fact]:
        return [each.fact for each in self.stored() if each.aggregate_id == aggregate_id]

    def kinds_of(self, aggregate_id: UUID) -> list[str]:
        return [type(fact).__name__ for fact in self.facts_of(aggregate_id)]

    async def asked(self, query: Statement | Listing) -> list[Any]:
        """The documents of a query, or of the first page of a list."""
        statement = page(query, PageAsked(), None) if isinstance(query, Listing) else query
        rows = await Window(self.events.reads).rows(_Document, statement)
        return [row.document for row in rows]

    def _recorded(self, stored: StoredFact) -> Recorded[Any]:
        return Recorded(
            fact=stored.fact,
            aggregate_id=stored.aggregate_id,
            version=stored.version,
            event_id=stored.event_id,
            position=stored.position,
            occurred_at=self.now,
            recorded_at=self.now,
            actor_id=POLICIES_ACTOR.id,
            command_id=stored.event_id,
            correlation_id=stored.event_id,
            causation_id=None,
            chain=b"",
        )
