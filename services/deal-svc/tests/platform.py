"""deal-svc on a real database, and what its tests tell it again and again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from chassis.context import Actor
from chassis.delivery import Due
from chassis.storage.event_store import PostgresEventStore
from chassis.storage.window import Window
from chassis.testing import event_store, served
from chassis.testing.by_hand import ByHand
from deal_svc import application
from deal_svc.application.known import known_partner
from deal_svc.domain.deal import Deal
from deal_svc.domain.registration import KnownPartner
from deal_svc.worker import DEADLINES, POLICIES, PROJECTIONS
from prm_contracts.deals import ConflictCheckRequested, DealRegistered
from prm_contracts.partners import ContactActivated, LimitSet, PartnerActivated, PartnerRegistered
from prm_contracts.price_books import FamilyDefined, PriceBookOpened, ProductListed
from prm_contracts.territories import Conflict

from .cast import (
    ALPHA,
    BACKUP,
    BOREALIS,
    COLLEAGUE,
    FIREWALL,
    MANAGER,
    OPERATIONS,
    PRICE_BOOK,
    RIVAL,
    SELLER,
    checked,
    invited,
    registration,
)


class DealService(ByHand):
    def __init__(self, dsn: str, events: PostgresEventStore) -> None:
        super().__init__(dsn, events, PROJECTIONS, POLICIES)

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
        for colleague in (SELLER, COLLEAGUE, RIVAL):
            await self.deliver(colleague.id, 1, invited(colleague))
            await self.deliver(colleague.id, 2, ContactActivated())
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
        await self.fire(rule, Due(deal_id, (await self.deal(deal_id)).version, due_at))

    async def deal(self, deal_id: UUID) -> Deal:
        return await Window(self.events.reads).load(Deal, deal_id)

    async def partner(self, partner_id: UUID) -> KnownPartner:
        return await known_partner(Window(self.events.reads), partner_id)


Caller = served.Caller[DealService]


@asynccontextmanager
async def running(dsn: str) -> AsyncIterator[DealService]:
    async with event_store(dsn, "deal_svc") as events:
        yield DealService(dsn, events)
