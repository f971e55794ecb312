"""deal-svc on a real database, its facts delivered by hand: in order, each once or again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid4, uuid5

import psycopg
from pydantic import BaseModel

from chassis.context import Actor, Context
from chassis.delivery import Due
from chassis.sql import Statement
from chassis.storage.event_store import PostgresEventStore
from chassis.storage.window import Window
from chassis.store import Command, P, Recorded, Saved
from chassis.testing import a_command, event_store
from deal_svc import application
from deal_svc.application.known import known_partner
from deal_svc.domain.deal import Deal
from deal_svc.domain.registration import KnownPartner
from deal_svc.worker import DEADLINES, POLICIES, PROJECTIONS
from prm_contracts.deals import ConflictCheckRequested, DealRegistered
from prm_contracts.facts import Fact, decode
from prm_contracts.partners import LimitSet, PartnerActivated, PartnerRegistered
from prm_contracts.price_books import FamilyDefined, PriceBookOpened, ProductListed
from prm_contracts.territories import Conflict

from .cast import (
    ALPHA,
    BACKUP,
    BOREALIS,
    FIREWALL,
    MANAGER,
    NOW,
    OPERATIONS,
    PRICE_BOOK,
    SERVICE,
    checked,
    registration,
)


class Stored(NamedTuple):
    """A fact of the store with what of its envelope matters here."""

    position: int
    aggregate_id: UUID
    version: int
    event_id: UUID
    fact: Fact


class _Document(BaseModel):
    document: dict[str, Any]


class DealService:
    """`now`: the clock of people, policies and deadlines."""

    def __init__(self, dsn: str, events: PostgresEventStore) -> None:
        self.dsn, self.events = dsn, events
        self.delivered = 0
        self.now = NOW

    async def begin(self) -> None:
        for partner_id, zone in ((ALPHA, "Europe/Berlin"), (BOREALIS, "America/New_York")):
            partner = PartnerRegistered(
                legal_name="Alpha Systemhaus GmbH",
                country="DE",
                types=("reseller",),
                currency="EUR",
                time_zone=zone,
                registered_by=MANAGER.id,
            )
            activated = PartnerActivated(approved_by=OPERATIONS.id, terms_version="2027-1")
            await self.deliver(partner_id, 1, partner)
            await self.deliver(partner_id, 2, activated)
        limit = LimitSet(
            kind="deal-approval", currency="EUR", amount_minor=20_000_000, set_by=OPERATIONS.id
        )
        await self.deliver(MANAGER.id, 3, limit)
        by = OPERATIONS.id
        book = PriceBookOpened(code="emea", name="EMEA", currency="EUR", opened_by=by)
        await self.deliver(PRICE_BOOK, 1, book)
        for version, (product_id, family) in enumerate(
            ((BACKUP, "backup"), (FIREWALL, "firewall"))
        ):
            defined = FamilyDefined(family=family, name=family, defined_by=by)
            await self.deliver(PRICE_BOOK, 2 * version + 2, defined)
            product = ProductListed(
                product_id=product_id,
                sku=family,
                name=family,
                family=family,
                unit="licence",
                list_price_minor=100_000,
                listed_by=by,
            )
            await self.deliver(PRICE_BOOK, 2 * version + 3, product)

    def command(self, actor: Actor, id: UUID | None = None) -> Context:
        return a_command(actor, now=self.now, id=id)

    async def tell(
        self, command: Command[P], actor: Actor, *args: P.args, **kwargs: P.kwargs
    ) -> Saved:
        return await self.events.execute(command, self.command(actor), *args, **kwargs)

    async def register(self, actor: Actor, **changes: Any) -> UUID:
        saved = await self.tell(application.register_deal, actor, registration(**changes))
        return saved.versions[0][0]

    async def approve(self, deal_id: UUID, *, unchecked: bool = False) -> None:
        await self.tell(application.approve_deal, MANAGER, deal_id, unchecked)

    async def withdraw(self, actor: Actor, deal_id: UUID) -> None:
        await self.tell(application.withdraw_deal, actor, deal_id, None)

    async def checked(self, deal_id: UUID, *conflicts: Conflict, by_map: int = 1) -> None:
        """The conflict check that the deal last asked for is answered."""
        asked = [
            each.fact.subject_version if isinstance(each.fact, ConflictCheckRequested) else 1
            for each in self.stored()
            if each.aggregate_id == deal_id
            and isinstance(each.fact, DealRegistered | ConflictCheckRequested)
        ]
        answer = checked(
            *conflicts, subject=deal_id, subject_version=asked[-1], alignment_version=by_map
        )
        await self.deliver(uuid5(deal_id, f"{asked[-1]} {by_map}"), 1, answer)
        await self.settle()

    async def registered_and_checked(self, actor: Actor, **changes: Any) -> UUID:
        deal_id = await self.register(actor, **changes)
        await self.checked(deal_id)
        return deal_id

    async def due(self, deal_id: UUID, due_at: datetime) -> None:
        """The deadline fires."""
        [rule] = DEADLINES
        context = Context(SERVICE, self.now, uuid4(), uuid4())
        due = Due(deal_id, (await self.deal(deal_id)).version, due_at)
        await self.events.execute(_reaction(rule.then), context, due)
        await self.settle()

    async def deal(self, deal_id: UUID) -> Deal:
        return await Window(self.events.reads).load(Deal, deal_id)

    async def partner(self, partner_id: UUID) -> KnownPartner:
        return await known_partner(Window(self.events.reads), partner_id)

    async def deliver(
        self, aggregate_id: UUID, version: int, fact: Fact, event_id: UUID | None = None
    ) -> None:
        """A fact from another service's topic. With the same event id it comes again."""
        await self._react(Stored(version, aggregate_id, version, event_id or uuid4(), fact))

    async def _react(self, stored: Stored) -> None:
        fact, recorded = stored.fact, self._recorded(stored)
        with psycopg.connect(self.dsn) as connection:
            for projection in PROJECTIONS:
                if isinstance(fact, projection.topic.facts):
                    statement = projection.statement(recorded)
                    if statement:
                        connection.execute(statement.sql, statement.values)
        for policy in POLICIES:
            if isinstance(fact, policy.fact):
                command_id = uuid5(stored.event_id, policy.key)
                context = Context(SERVICE, self.now, command_id, stored.event_id, stored.event_id)
                await self.events.execute(_reaction(policy.then), context, recorded)

    async def settle(self) -> None:
        """Delivers this service's own facts until nothing new is recorded."""
        while waiting := [each for each in self.stored() if each.position > self.delivered]:
            for each in waiting:
                await self._react(each)
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

    def facts_of(self, aggregate_id: UUID) -> list[Fact]:
        return [each.fact for each in self.stored() if each.aggregate_id == aggregate_id]

    def kinds_of(self, aggregate_id: UUID) -> list[str]:
        return [type(fact).__name__ for fact in self.facts_of(aggregate_id)]

    async def asked(self, query: Statement) -> list[Any]:
        """The documents of a query, a page of 50."""
        statement = Statement(query.sql, {"after": None, "limit": 50} | query.values)
        rows = await Window(self.events.reads).rows(_Document, statement)
        return [row.document for row in rows]

    def _recorded(self, stored: Stored) -> Recorded[Any]:
        return Recorded(
            fact=stored.fact,
            aggregate_id=stored.aggregate_id,
            version=stored.version,
            event_id=stored.event_id,
            position=stored.position,
            occurred_at=self.now,
            recorded_at=self.now,
            actor_id=SERVICE.id,
            command_id=stored.event_id,
            correlation_id=stored.event_id,
            causation_id=None,
            chain=b"",
        )


def _reaction(then: Any) -> Command[Any]:
    async def react(store: Any, ctx: Context, told: Any) -> Saved:
        await then(store, ctx, told)
        return Saved(())

    return react


@asynccontextmanager
async def running(dsn: str) -> AsyncIterator[DealService]:
    async with event_store(dsn, "deal_svc") as events:
        yield DealService(dsn, events)
