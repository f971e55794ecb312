"""Whenever a fact, or an outcome, then a command: one function a rule; no memory, no I/O."""

from datetime import timedelta
from typing import Any

from chassis.context import Context
from chassis.delivery import Errand
from chassis.store import Recorded, Store
from notify_svc import application
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
from prm_contracts.notifications import Cause, MailFact
from prm_contracts.partners import (
    ChannelManagerAssigned,
    ContactActivated,
    PartnerActivated,
    PartnerReinstated,
    PartnerSuspended,
)

HISTORY = timedelta(days=1)


def is_history(recorded: Recorded[Any]) -> bool:
    """Known only a day after it occurred: an initial load, of what its people know long since."""
    return recorded.recorded_at - recorded.occurred_at >= HISTORY


def cause_of(recorded: Recorded[Any]) -> Cause:
    return Cause(
        event_id=recorded.event_id,
        fact_type=recorded.fact.fact_type,
        aggregate_id=recorded.aggregate_id,
        occurred_at=recorded.occurred_at,
    )


async def welcome_contact(
    store: Store, ctx: Context, activated: Recorded[ContactActivated]
) -> None:
    if is_history(activated):
        return
    cause, contact_id = cause_of(activated), activated.aggregate_id
    await application.tell_contact(store, ctx, cause, "welcome", contact_id)


async def tell_partner_activated(
    store: Store, ctx: Context, activated: Recorded[PartnerActivated]
) -> None:
    if is_history(activated):
        return
    cause, partner_id = cause_of(activated), activated.aggregate_id
    await application.tell_partner(store, ctx, cause, "partner-activated", partner_id)


async def tell_partner_suspended(
    store: Store, ctx: Context, suspended: Recorded[PartnerSuspended]
) -> None:
    cause, partner_id = cause_of(suspended), suspended.aggregate_id
    reason = suspended.fact.reason_code
    await application.tell_partner(
        store, ctx, cause, "partner-suspended", partner_id, reason=reason
    )


async def tell_partner_reinstated(
    store: Store, ctx: Context, reinstated: Recorded[PartnerReinstated]
) -> None:
    cause, partner_id = cause_of(reinstated), reinstated.aggregate_id
    await application.tell_partner(store, ctx, cause, "partner-reinstated", partner_id)


async def tell_assigned_manager(
    store: Store, ctx: Context, assigned: Recorded[ChannelManagerAssigned]
) -> None:
    cause, contact_id = cause_of(assigned), assigned.fact.contact_id
    await application.tell_contact(store, ctx, cause, "partner-assigned", contact_id)


async def confirm_registration(
    store: Store, ctx: Context, registered: Recorded[DealRegistered]
) -> None:
    """Without a place in line: that is told with the decision."""
    cause, deal_id = cause_of(registered), registered.aggregate_id
    await application.tell_seller(store, ctx, cause, "deal-registered", deal_id)


async def ask_for_decision(
    store: Store, ctx: Context, opened: Recorded[DealApprovalStepOpened]
) -> None:
    cause, step = cause_of(opened), opened.fact
    await application.tell_vendor_of_deal(
        store,
        ctx,
        cause,
        "deal-decision-due",
        opened.aggregate_id,
        role=step.role,
        amount_minor=step.amount_minor,
        currency=step.currency,
    )


async def tell_place_in_line(store: Store, ctx: Context, queued: Recorded[DealQueued]) -> None:
    cause, place = cause_of(queued), queued.fact.place
    await application.tell_seller(
        store, ctx, cause, "deal-queued", queued.aggregate_id, place=place
    )


async def tell_promotion(store: Store, ctx: Context, promoted: Recorded[DealPromoted]) -> None:
    cause, deal_id = cause_of(promoted), promoted.aggregate_id
    await application.tell_seller(store, ctx, cause, "deal-promoted", deal_id)


async def tell_approval(store: Store, ctx: Context, approved: Recorded[DealApproved]) -> None:
    cause, fact = cause_of(approved), approved.fact
    until = fact.exclusive_until.local_date.isoformat()
    await application.tell_seller(
        store,
        ctx,
        cause,
        "deal-approved",
        approved.aggregate_id,
        exclusive_until=until,
        discount_bp=fact.discount_bp,
    )


async def tell_rejection(store: Store, ctx: Context, rejected: Recorded[DealRejected]) -> None:
    cause, decision = cause_of(rejected), rejected.fact.decision
    reason, rule = decision.reason_code, decision.rule_id
    await application.tell_seller(
        store, ctx, cause, "deal-rejected", rejected.aggregate_id, reason=reason, rule=rule
    )


async def tell_expiry(store: Store, ctx: Context, expired: Recorded[DealExpired]) -> None:
    cause, deal_id = cause_of(expired), expired.aggregate_id
    await application.tell_seller(store, ctx, cause, "deal-expired", deal_id)


async def tell_manager_of_expiry(
    store: Store, ctx: Context, expired: Recorded[DealExpired]
) -> None:
    cause, deal_id = cause_of(expired), expired.aggregate_id
    await application.tell_vendor_of_deal(
        store, ctx, cause, "partner-deal-expired", deal_id, role="channel-account-manager"
    )


async def tell_manager_of_withdrawal(
    store: Store, ctx: Context, withdrawn: Recorded[DealWithdrawn]
) -> None:
    cause, deal_id = cause_of(withdrawn), withdrawn.aggregate_id
    await application.tell_vendor_of_deal(
        store, ctx, cause, "partner-deal-withdrawn", deal_id, role="channel-account-manager"
    )


async def record_mail(store: Store, ctx: Context, errand: Errand, outcome: MailFact) -> None:
    await application.settle_mail(store, ctx, errand.aggregate_id, outcome)
