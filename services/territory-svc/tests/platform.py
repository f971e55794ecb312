"""territory-svc on a real database, and what its tests tell it again and again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from chassis.context import Actor
from chassis.storage.event_store import PostgresEventStore
from chassis.testing import event_store, served
from chassis.testing.by_hand import ByHand
from prm_contracts.deals import DealRegistered
from prm_contracts.partners import PartnerActivated, PartnerRegistered
from prm_contracts.territories import TerritoryDefinition
from territory_svc import application
from territory_svc.worker import POLICIES, PROJECTIONS

from .cast import MANAGER, OPERATIONS


class TerritoryService(ByHand):
    def __init__(self, dsn: str, events: PostgresEventStore) -> None:
        super().__init__(dsn, events, PROJECTIONS, POLICIES)

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


Caller = served.Caller[TerritoryService]


@asynccontextmanager
async def running(dsn: str) -> AsyncIterator[TerritoryService]:
    async with event_store(dsn, "territory_svc") as events:
        yield TerritoryService(dsn, events)
