"""Whenever a fact or a date then a command: one function a rule; no memory, no I/O of its own."""

from chassis.context import Context
from chassis.delivery import Due
from chassis.store import Store
from partner_svc import application


async def expire_invitation(store: Store, ctx: Context, due: Due) -> None:
    await application.expire_invitation(store, ctx, due.aggregate_id, due.due_at)
