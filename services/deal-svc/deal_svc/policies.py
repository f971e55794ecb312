"""Whenever a fact then a command: one function a rule; no memory, no I/O of its own."""

from chassis.context import Context
from chassis.delivery import Due
from chassis.store import Recorded, Store
from deal_svc import application
from prm_contracts.deals import DealQueued, ExclusivityExpired, ExclusivityReleased
from prm_contracts.partners import PartnerReinstated
from prm_contracts.territories import TerritoryConflictChecked

Checked = Recorded[TerritoryConflictChecked]
Released = Recorded[ExclusivityReleased]
Expired = Recorded[ExclusivityExpired]
Queued = Recorded[DealQueued]
Reinstated = Recorded[PartnerReinstated]


async def answer_conflict_check(store: Store, ctx: Context, checked: Checked) -> None:
    await application.answer_conflict_check(store, ctx, checked.aggregate_id, checked.fact)


async def promote_those_behind_released(store: Store, ctx: Context, released: Released) -> None:
    await application.promote_deals(store, ctx, released.fact.moved_up)


async def promote_those_behind_expired(store: Store, ctx: Context, expired: Expired) -> None:
    await application.promote_deals(store, ctx, expired.fact.moved_up)


async def promote_queued_at_head(store: Store, ctx: Context, queued: Queued) -> None:
    """The line may have moved on while the deal was being queued: then nobody else promotes it."""
    await application.promote_deals(store, ctx, (queued.aggregate_id,))


async def recheck_deals_of_reinstated(store: Store, ctx: Context, reinstated: Reinstated) -> None:
    """What was answered while the partner was on hold is asked again, so that no answer is lost."""
    await application.recheck_partner(store, ctx, reinstated.aggregate_id, "partner-reinstated")


async def expire_deal(store: Store, ctx: Context, due: Due) -> None:
    await application.expire_deal(store, ctx, due.aggregate_id, due.due_at)
