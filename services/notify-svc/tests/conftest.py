"""A notify-svc that has seen two partners, their people, the vendor's, and one deal."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import psycopg
import pytest

from chassis.context import Context
from chassis.sql import Statement
from chassis.storage.event_store import PostgresEventStore
from chassis.store import Recorded, Saved, Store
from chassis.testing import a_command, event_store, stored_facts
from notify_svc import projections
from prm_contracts.facts import F
from prm_contracts.notifications import NotificationQueued
from prm_contracts.partners import ChannelManagerAssigned, ContactActivated

from .cast import (
    ALPHA,
    BOREALIS,
    COLLEAGUE,
    DEAL,
    FINANCE,
    MANAGER,
    OTHER_MANAGER,
    REGISTERED,
    RIVAL,
    SELLER,
    invited,
    recorded,
)

Policy = Callable[[Store, Context, Recorded[Any]], Awaitable[None]]
PEOPLE = (
    (SELLER, invited("partner", ALPHA, "partner-seller")),
    (COLLEAGUE, invited("partner", ALPHA, "partner-admin")),
    (RIVAL, invited("partner", BOREALIS, "partner-seller")),
    (MANAGER, invited("vendor", None, "channel-account-manager")),
    (OTHER_MANAGER, invited("vendor", None, "channel-account-manager")),
    (FINANCE, invited("vendor", None, "finance-approver")),
)


class Inbox:
    """Runs policies and projections, and tells who was told what."""

    def __init__(self, events: PostgresEventStore, dsn: str) -> None:
        self.events, self.dsn = events, dsn

    def show(self, *statements: Statement | str | None) -> list[tuple[Any, ...]]:
        """Runs the statements of projections or queries; rows of the last."""
        rows: list[tuple[Any, ...]] = []
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            for each in statements:
                statement = Statement(each, {}) if isinstance(each, str) else each
                if statement is not None:
                    cursor = connection.execute(statement.sql, statement.values)
                    rows = cursor.fetchall() if cursor.description else []
        return rows

    async def react(self, policy: Policy, cause: Recorded[Any]) -> None:
        await self.run(policy, cause)

    async def run(self, policy: Callable[..., Awaitable[None]], *what: Any) -> None:
        async def command(store: Store, ctx: Context) -> Saved:
            await policy(store, ctx, *what)
            return Saved(())

        await self.events.execute(command, a_command())

    def facts(self, kind: type[F]) -> list[F]:
        return [it.fact for it in stored_facts(self.dsn) if isinstance(it.fact, kind)]

    def told(self) -> list[NotificationQueued]:
        return self.facts(NotificationQueued)


@pytest.fixture
async def inbox(fresh_database: str) -> AsyncIterator[Inbox]:
    async with event_store(fresh_database, "notify_svc") as events:
        inbox = Inbox(events, fresh_database)
        for contact_id, invitation in PEOPLE:
            inbox.show(
                projections.contacts(recorded(invitation, contact_id)),
                projections.contacts(recorded(ContactActivated(), contact_id, 2)),
            )
        assigned = ChannelManagerAssigned(contact_id=MANAGER, assigned_by=FINANCE)
        inbox.show(
            projections.partners(recorded(assigned, ALPHA, 3)),
            projections.deals(recorded(REGISTERED, DEAL)),
        )
        yield inbox
