"""Commands around conflict checks: ask, answer with a verdict, promote and ask again."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from chassis.context import Context
from chassis.sql import Statement
from chassis.store import Saved, Store
from deal_svc.application.customers import as_named, look_up
from deal_svc.application.deals import follow_on_lines
from deal_svc.application.known import (
    known_partner,
    lines_of,
    newest_alignment,
    status_on_hold,
    worst_place,
)
from deal_svc.domain.customer import alike
from deal_svc.domain.deal import Deal
from deal_svc.domain.exclusivity import Exclusivity, ExclusivityKey, LiveClaim, exclusivity_id
from deal_svc.domain.terms import DEFAULT_TERMS
from deal_svc.domain.verdict import Seen
from prm_contracts.customers import CustomerLike
from prm_contracts.facts import Value
from prm_contracts.territories import TerritoryConflictChecked
from prm_contracts.values import Code


class StoredPosition(Value):
    aggregate_id: UUID
    version: int
    position: int


class DealId(Value):
    deal_id: UUID


async def answer_conflict_check(
    store: Store, ctx: Context, check_id: UUID, check: TerritoryConflictChecked
) -> Saved:
    """The verdict, what a rule decides by it, and what follows on the lines, in one append."""
    deal = await store.load_or_new(Deal, check.subject)
    if not deal.version or not deal.waits_for(check):  # a lead's, or late
        return await store.save(ctx)
    lines = await lines_of(store, deal)
    status = (await known_partner(store, deal.registered.partner_id)).status
    if status == "suspended":
        status = await status_on_hold(store, deal)
    seen = Seen(
        check_id=check_id,
        check=check,
        place=worst_place(deal, lines),
        rivals=await rivals(store, deal),
        partner_status=status,
        newest_alignment=await newest_alignment(store),
    )
    deal.answer_conflict_check(seen, ctx.actor.id, DEFAULT_TERMS, ctx.now)
    follow_on_lines(deal, lines)
    return await store.save(ctx, deal, *lines)


async def rivals(store: Store, deal: Deal) -> tuple[CustomerLike, ...]:
    """Like customers for whom another partner holds an earlier live claim that would clash.

    The look-up at registration is repeated: this one sees every registration before the deal's.
    """
    registered = deal.registered
    named = as_named(registered.customer)
    known = await look_up(store, named)
    others = [
        like
        for like in alike(named, known.profiles, known.holders)
        if like.customer_id != registered.customer.customer_id
    ]
    return tuple(
        [like for like in others if await is_claimed_earlier(store, deal, like.customer_id)]
    )


async def is_claimed_earlier(store: Store, deal: Deal, customer_id: UUID) -> bool:
    country = deal.registered.customer.country
    for own in deal.claims:
        key = ExclusivityKey(customer_id=customer_id, country=country, family=own.family)
        line = await store.load_or_new(Exclusivity, exclusivity_id(key))
        mine = LiveClaim(
            deal_id=deal.id, partner_id=deal.registered.partner_id, site=own.site, version=0
        )
        others = [
            (line.id, claim.version)
            for claim in line.claims
            if claim.partner_id != mine.partner_id and claim.clashes_with(mine)
        ]
        if others and await is_any_before(store, others, (own.exclusivity_id, own.version)):
            return True
    return False


async def is_any_before(
    store: Store, others: Sequence[tuple[UUID, int]], mine: tuple[UUID, int]
) -> bool:
    """Whether one of the facts, each by aggregate and version, lies before mine in the store."""
    asked = [mine, *others]
    query = Statement(
        "SELECT aggregate_id, version, position FROM events"
        " JOIN unnest(%(ids)s::uuid[], %(versions)s::int[]) AS asked (aggregate_id, version)"
        " USING (aggregate_id, version)",
        {"ids": [line for line, _ in asked], "versions": [version for _, version in asked]},
    )
    stored = await store.rows(StoredPosition, query)
    positions = {(row.aggregate_id, row.version): row.position for row in stored}
    return any(positions[other] < positions[mine] for other in others)


async def request_check(store: Store, ctx: Context, deal_id: UUID, reason: Code) -> Saved:
    deal = await store.load_addressed(ctx, Deal, deal_id)
    deal.request_check(reason, await newest_alignment(store))
    return await store.save(ctx, deal)


async def recheck_partner(store: Store, ctx: Context, partner_id: UUID, reason: Code) -> Saved:
    """All undecided deals of the partner: what was answered while it was on hold is asked again."""
    query = Statement(
        "SELECT deal_id FROM deal_list WHERE partner_id = %(partner_id)s"
        " AND status IN ('checking', 'in_review') ORDER BY deal_id",
        {"partner_id": partner_id},
    )
    newest = await newest_alignment(store)
    rows = await store.rows(DealId, query)
    deals = await store.load_many(Deal, [row.deal_id for row in rows])
    for deal in deals:
        deal.request_check(reason, newest)
    return await store.save(ctx, *(deal for deal in deals if deal.pending))


async def promote_deals(store: Store, ctx: Context, deal_ids: Iterable[UUID]) -> Saved:
    """Those that wait and are at the head of all their lines now are checked again."""
    promoted = []
    for deal_id in deal_ids:
        deal = await store.load(Deal, deal_id)
        deal.promote(worst_place(deal, await lines_of(store, deal)))
        if deal.pending:
            promoted.append(deal)
    return await store.save(ctx, *promoted)
