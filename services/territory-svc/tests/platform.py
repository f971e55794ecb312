"""territory-svc on a real database, its facts delivered by hand: in order, each once or again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from uuid import UUID, uuid4, uuid5

import psycopg
from pydantic import BaseModel

from chassis.context import Actor, Context
from chassis.sql import Statement
from chassis.storage.event_store import PostgresEventStore
from chassis.storage.window import Window
from chassis.store import Command, P, Recorded, Saved
from chassis.testing import a_command, event_store
from prm_contracts.deals import DealRegistered
from prm_contracts.facts import Fact, decode
from prm_contracts.partners import PartnerActivated, PartnerRegistered
from prm_contracts.territories import TerritoryDefinition
from territory_svc import application
from territory_svc.worker import POLICIES, PROJECTIONS

from .cast import MANAGER, NOW, OPERATIONS

SERVICE = Actor(UUID(int=5))


class Stored(NamedTuple):
    """A fact of the store with what of its envelope matters here."""

    position: int
    aggregate_id: UUID
    version: int
    event_id: UUID
    fact: Fact


class TerritoryService:
    def __init__(self, dsn: str, events: PostgresEventStore) -> None:
        self.dsn, self.events = dsn, events
        self.delivered = 0

    async def tell(
        self, command: Command[P], actor: Actor, *args: P.args, **kwargs: P.kwargs
    ) -> Saved:
        return await self.events.execute(command, a_command(actor, now=NOW), *args, **kwargs)

    async def draft(self, *wanted: TerritoryDefinition, by: Actor = MANAGER) -> UUID:
        changes = tuple(application.Change(definition=each) for each in wanted)
        saved = await self.tell(application.draft_alignment, by, "Spring", changes)
        return saved.versions[0][0]

    async def ready(self, alignment_id: UUID) -> UUID:
        """Validated and approved, its partners being live."""
        await self.tell(application.validate_alignment, MANAGER, alignment_id)
        await self.tell(application.approve_alignment, OPERATIONS, alignment_id)
        return alignment_id

    async def activate(self, alignment_id: UUID) -> None:
        await self.tell(application.activate_alignment, OPERATIONS, alignment_id)

    async def align(self, *wanted: TerritoryDefinition) -> UUID:
        alignment_id = await self.ready(await self.draft(*wanted))
        await self.activate(alignment_id)
        return alignment_id

    async def change(self, alignment_id: UUID, **change: Any) -> None:
        wanted = application.Change(**change)
        await self.tell(application.change_territory, MANAGER, alignment_id, wanted)

    async def partner_is_live(self, *partner_ids: UUID) -> None:
        for partner_id in partner_ids:
            registered = PartnerRegistered(
                legal_name="Alpha Systemhaus GmbH",
                country="DE",
                types=("reseller",),
                currency="EUR",
                time_zone="Europe/Berlin",
                registered_by=MANAGER.id,
            )
            activated = PartnerActivated(approved_by=OPERATIONS.id, terms_version="2027-1")
            await self.deliver(partner_id, 1, registered)
            await self.deliver(partner_id, 2, activated)

    async def deal_is_registered(self, deal_id: UUID, deal: DealRegistered) -> None:
        await self.deliver(deal_id, 1, deal)
        await self.settle()

    async def deliver(
        self, aggregate_id: UUID, version: int, fact: Fact, event_id: UUID | None = None
    ) -> None:
        """A fact from another service's topic. With the same event id it comes again."""
        await self.react(Stored(version, aggregate_id, version, event_id or uuid4(), fact))

    async def react(self, stored: Stored) -> None:
        fact, recorded = stored.fact, _recorded(stored)
        with psycopg.connect(self.dsn) as connection:
            for projection in PROJECTIONS:
                if isinstance(fact, projection.topic.facts):
                    statement = projection.statement(recorded)
                    if statement:
                        connection.execute(statement.sql, statement.values)
        for policy in POLICIES:
            if isinstance(fact, policy.fact):
                await self.events.execute(
                    _reaction(policy.then), _ctx(recorded, policy.key), recorded
                )

    async def settle(self) -> None:
        """Delivers this service's own facts until nothing new is recorded."""
        while waiting := [each for each in self.stored() if each.position > self.delivered]:
            for each in waiting:
                await self.react(each)
                self.delivered = each.position

    def stored(self) -> list[Stored]:
        with psycopg.connect(self.dsn) as connection:
            rows = connection.execute(
                "SELECT position, aggregate_id, version, event_id, type, data FROM events"
                " ORDER BY position"
            ).fetchall()
        return [
            Stored(position, aggregate_id, version, event_id, decode(kind, data))
            for position, aggregate_id, version, event_id, kind, data in rows
        ]

    def facts(self, *kinds: type[Fact]) -> list[Fact]:
        return [each.fact for each in self.stored() if isinstance(each.fact, kinds)]

    async def asked(self, query: Statement) -> list[Any]:
        """The documents of a query, a page of 50."""
        statement = Statement(query.sql, {"after": None, "limit": 50} | query.values)
        rows = await Window(self.events.reads).rows(_Document, statement)
        return [row.document for row in rows]


class _Document(BaseModel):
    document: dict[str, Any]


def _reaction(then: Any) -> Command[Any]:
    async def react(store: Any, ctx: Context, recorded: Recorded[Any]) -> Saved:
        await then(store, ctx, recorded)
        return Saved(())

    return react


def _ctx(recorded: Recorded[Any], key: str) -> Context:
    command_id = uuid5(recorded.event_id, key)
    return Context(SERVICE, NOW, command_id, recorded.correlation_id, recorded.event_id)


def _recorded(stored: Stored) -> Recorded[Any]:
    return Recorded(
        fact=stored.fact,
        aggregate_id=stored.aggregate_id,
        version=stored.version,
        event_id=stored.event_id,
        position=stored.position,
        occurred_at=NOW,
        recorded_at=NOW,
        actor_id=SERVICE.id,
        command_id=stored.event_id,
        correlation_id=stored.event_id,
        causation_id=None,
        chain=b"",
    )


@asynccontextmanager
async def running(dsn: str) -> AsyncIterator[TerritoryService]:
    async with event_store(dsn, "territory_svc") as events:
        yield TerritoryService(dsn, events)
