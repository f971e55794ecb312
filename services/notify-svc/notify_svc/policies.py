"""Whenever a fact then tell somebody: one function a rule; no memory, no I/O of its own."""

from typing import Any

from chassis.context import Context
from chassis.store import Recorded, Store
from notify_svc import application
from notify_svc.domain import Message, Recipient
from prm_contracts.deals import (
    DealApprovalStepOpened,
    DealApproved,
    DealExpired,
    DealPromoted,
    DealQueued,
    DealRegistered,
    DealRejected,
    DealWithdrawn,
)
from prm_contracts.notifications import Cause
from prm_contracts.partners import (
    ChannelManagerAssigned,
    ContactActivated,
    PartnerActivated,
    PartnerReinstated,
    PartnerSuspended,
)


def cause_of(recorded: Recorded[Any]) -> Cause:
    return Cause(
        event_id=recorded.event_id,
        fact_type=recorded.fact.fact_type,
        aggregate_id=recorded.aggregate_id,
        occurred_at=recorded.occurred_at,
    )


def message(template: str, **params: str | int) -> Message:
    return Message(template=template, params=params)


async def welcome_contact(
    store: Store, ctx: Context, activated: Recorded[ContactActivated]
) -> None:
    await application.tell_contact(
        store, ctx, cause_of(activated), message("welcome"), activated.aggregate_id
    )


async def tell_partner_activated(
    store: Store, ctx: Context, activated: Recorded[PartnerActivated]
) -> None:
    await application.tell_partner(
        store, ctx, cause_of(activated), message("partner-activated"), activated.aggregate_id
    )


async def tell_partner_suspended(
    store: Store, ctx: Context, suspended: Recorded[PartnerSuspended]
) -> None:
    told = message("partner-suspended", reason=suspended.fact.reason_code)
    await application.tell_partner(store, ctx, cause_of(suspended), told, suspended.aggregate_id)


async def tell_partner_reinstated(
    store: Store, ctx: Context, reinstated: Recorded[PartnerReinstated]
) -> None:
    await application.tell_partner(
        store, ctx, cause_of(reinstated), message("partner-reinstated"), reinstated.aggregate_id
    )


async def tell_assigned_manager(
    store: Store, ctx: Context, assigned: Recorded[ChannelManagerAssigned]
) -> None:
    manager = Recipient(contact_id=assigned.fact.contact_id, partner_id=None)
    await application.tell(
        store, ctx, cause_of(assigned), message("partner-assigned"), (manager,)
    )


async def confirm_registration(
    store: Store, ctx: Context, registered: Recorded[DealRegistered]
) -> None:
    """Without a place in line: that is told with the decision."""
    await application.tell_seller(
        store, ctx, cause_of(registered), message("deal-registered"), registered.aggregate_id
    )


async def ask_for_decision(
    store: Store, ctx: Context, opened: Recorded[DealApprovalStepOpened]
) -> None:
    fact = opened.fact
    told = message("deal-decision-due", amount_minor=fact.amount_minor, currency=fact.currency)
    await application.tell_deal_vendor(
        store, ctx, cause_of(opened), told, opened.aggregate_id, fact.role
    )


async def tell_place_in_line(store: Store, ctx: Context, queued: Recorded[DealQueued]) -> None:
    told = message("deal-queued", place=queued.fact.place)
    await application.tell_seller(store, ctx, cause_of(queued), told, queued.aggregate_id)


async def tell_promotion(store: Store, ctx: Context, promoted: Recorded[DealPromoted]) -> None:
    await application.tell_seller(
        store, ctx, cause_of(promoted), message("deal-promoted"), promoted.aggregate_id
    )


async def tell_approval(store: Store, ctx: Context, approved: Recorded[DealApproved]) -> None:
    until, discount_bp = approved.fact.exclusive_until.local_date, approved.fact.discount_bp
    told = message("deal-approved", exclusive_until=until.isoformat(), discount_bp=discount_bp)
    await application.tell_seller(store, ctx, cause_of(approved), told, approved.aggregate_id)


async def tell_rejection(store: Store, ctx: Context, rejected: Recorded[DealRejected]) -> None:
    decision = rejected.fact.decision
    told = message("deal-rejected", reason=decision.reason_code, rule=decision.rule_id)
    await application.tell_seller(store, ctx, cause_of(rejected), told, rejected.aggregate_id)


async def tell_expiry(store: Store, ctx: Context, expired: Recorded[DealExpired]) -> None:
    await application.tell_seller(
        store, ctx, cause_of(expired), message("deal-expired"), expired.aggregate_id
    )


async def tell_manager_of_expiry(
    store: Store, ctx: Context, expired: Recorded[DealExpired]
) -> None:
    told = message("partner-deal-expired")
    await application.tell_deal_vendor(
        store, ctx, cause_of(expired), told, expired.aggregate_id, "channel-account-manager"
    )


async def tell_manager_of_withdrawal(
    store: Store, ctx: Context, withdrawn: Recorded[DealWithdrawn]
) -> None:
    await application.tell_deal_vendor(
        store,
        ctx,
        cause_of(withdrawn),
        message("partner-deal-withdrawn"),
        withdrawn.aggregate_id,
        "channel-account-manager",
    )
