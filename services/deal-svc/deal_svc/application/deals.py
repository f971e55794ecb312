"""Commands on deals that people and deadlines give: register, decide, withdraw, expire."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from chassis.context import Context
from chassis.store import Saved, Store
from deal_svc.application.customers import resolve_customer
from deal_svc.application.external_ids import reserved_external_ids
from deal_svc.application.known import (
    approver,
    families_of_products,
    known_partner,
    lines_of,
    newest_alignment,
    refuse_stranger,
    worst_place,
)
from deal_svc.domain.deal import Deal, families_of
from deal_svc.domain.decision import Circumstances, PartnerNeeded, Status
from deal_svc.domain.exclusivity import Exclusivity, ExclusivityKey, exclusivity_id
from deal_svc.domain.registration import Registration, priced
from deal_svc.domain.terms import DEFAULT_TERMS
from prm_contracts.deals import Claim, RejectionReason
from prm_contracts.facts import Personal


async def register_deal(store: Store, ctx: Context, asked: Registration) -> Saved:
    """Customer, claims on all lines and the deal itself, in one append: nobody gets in between."""
    if ctx.actor.tenant_id is None:
        raise PartnerNeeded
    partner = await known_partner(store, ctx.actor.tenant_id)
    if asked.seller_id not in (None, ctx.actor.id):
        await refuse_stranger(store, asked.seller_id, partner.partner_id)
    products = [line.product_id for line in asked.lines]
    lines = priced(asked.lines, await families_of_products(store, products))
    resolved = await resolve_customer(store, ctx, asked.customer)
    deal = Deal(ctx.new_id("deal"))
    external = await reserved_external_ids(store, "deal", deal.id, asked.external_ids)
    customer = resolved.customer
    keys = [
        ExclusivityKey(customer_id=customer.customer_id, country=customer.country, family=family)
        for family in families_of(lines)
    ]
    exclusivities = await store.load_many_or_new(Exclusivity, map(exclusivity_id, keys))
    claims = []
    for line, key in zip(exclusivities, keys, strict=True):
        line.claim(deal.id, partner.partner_id, key, asked.site)
        claims.append(
            Claim(exclusivity_id=line.id, version=line.version, family=key.family, site=asked.site)
        )
    deal.register(
        ctx.actor,
        asked,
        partner=partner,
        customer=customer,
        lines=lines,
        claims=claims,
        now=ctx.now,
    )
    return await store.save(ctx, deal, *resolved.changed, *external, *exclusivities)


async def approve_deal(store: Store, ctx: Context, deal_id: UUID, unchecked: bool) -> Saved:
    deal = await store.load_addressed(ctx, Deal, deal_id)
    lines = await lines_of(store, deal)
    known = Circumstances(
        partner=await known_partner(store, deal.registered.partner_id),
        newest_alignment=await newest_alignment(store),
        place=worst_place(deal, lines),
    )
    who = await approver(store, ctx.actor, deal)
    deal.approve(who, known, DEFAULT_TERMS, ctx.now, unchecked=unchecked)
    follow_on_lines(deal, lines)
    return await store.save(ctx, deal, *lines)


async def reject_deal(
    store: Store, ctx: Context, deal_id: UUID, reason: RejectionReason, note: Personal | None
) -> Saved:
    deal = await store.load_addressed(ctx, Deal, deal_id)
    lines = await lines_of(store, deal)
    partner = await known_partner(store, deal.registered.partner_id)
    who = await approver(store, ctx.actor, deal)
    deal.reject(who, partner, DEFAULT_TERMS, reason, note)
    follow_on_lines(deal, lines)
    return await store.save(ctx, deal, *lines)


async def withdraw_deal(store: Store, ctx: Context, deal_id: UUID, note: Personal | None) -> Saved:
    deal = await store.load_addressed(ctx, Deal, deal_id)
    lines = await lines_of(store, deal)
    deal.withdraw(ctx.actor, note)
    follow_on_lines(deal, lines)
    return await store.save(ctx, deal, *lines)


async def expire_deal(store: Store, ctx: Context, deal_id: UUID, due_at: datetime) -> Saved:
    deal = await store.load(Deal, deal_id)
    lines = await lines_of(store, deal)
    deal.expire(due_at)
    follow_on_lines(deal, lines)
    return await store.save(ctx, deal, *lines)


def follow_on_lines(deal: Deal, lines: Sequence[Exclusivity]) -> None:
    """What became of the deal, on all its lines: they change in one append, or none does."""
    for line in lines:
        match deal.status:
            case Status.APPROVED if deal.exclusive_until:
                line.grant(deal.id, deal.exclusive_until.at)
            case Status.REJECTED:
                line.release(deal.id, "rejected")
            case Status.WITHDRAWN:
                line.release(deal.id, "withdrawn")
            case Status.EXPIRED if deal.exclusive_until:
                line.expire(deal.id, deal.exclusive_until.at)
            case _:
                pass  # an undecided deal keeps its place
