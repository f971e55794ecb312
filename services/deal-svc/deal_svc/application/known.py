"""What deal-svc has read of others by the time it decides: rows of its own tables."""

from collections.abc import Iterable
from uuid import UUID

from chassis.context import Actor
from chassis.sql import Statement
from chassis.store import Store
from deal_svc.domain.deal import Deal
from deal_svc.domain.decision import Approver, DealNotListed
from deal_svc.domain.exclusivity import Exclusivity
from deal_svc.domain.registration import KnownPartner, PartnerUnknown, SellerUnknown
from deal_svc.domain.verdict import PartnerStatus
from prm_contracts.facts import Value
from prm_contracts.values import Code


class ProductFamily(Value):
    product_id: UUID
    family: Code


class Number(Value):
    number: int


class Hold(Value):
    """`listed`: the version of a deal that the list shows."""

    status: PartnerStatus
    listed: int | None


async def known_partner(store: Store, partner_id: UUID) -> KnownPartner:
    """Raises PartnerUnknown."""
    query = Statement(
        "SELECT partner_id, status, time_zone, terms_version, version FROM partners"
        " WHERE partner_id = %(partner_id)s",
        {"partner_id": partner_id},
    )
    found = await store.rows(KnownPartner, query)
    if not found:
        raise PartnerUnknown(partner_id)
    return found[0]


async def status_on_hold(store: Store, deal: Deal) -> PartnerStatus:
    """The partner's, held as it is until what is decided by it is committed. Raises DealNotListed.

    A reinstatement waits for that, and then asks again for what the list shows undecided.
    """
    query = Statement(
        "SELECT status, (SELECT version FROM deal_list WHERE deal_id = %(deal_id)s) AS listed"
        " FROM partners WHERE partner_id = %(partner_id)s FOR SHARE OF partners",
        {"deal_id": deal.id, "partner_id": deal.registered.partner_id},
    )
    [found] = await store.rows(Hold, query)
    if found.status == "suspended" and (found.listed or 0) < deal.version:
        raise DealNotListed(deal.id)
    return found.status


async def refuse_stranger(store: Store, seller_id: UUID, partner_id: UUID) -> None:
    """Raises SellerUnknown: who is no partner's own would be told of its customers."""
    query = Statement(
        "SELECT count(*) AS number FROM people WHERE contact_id = %(seller_id)s"
        " AND partner_id = %(partner_id)s AND is_active",
        {"seller_id": seller_id, "partner_id": partner_id},
    )
    if not (await store.rows(Number, query))[0].number:
        raise SellerUnknown(seller_id)


async def families_of_products(store: Store, product_ids: Iterable[UUID]) -> dict[UUID, Code]:
    query = Statement(
        "SELECT product_id, family FROM product_list WHERE product_id = ANY(%(product_ids)s)",
        {"product_ids": sorted(set(product_ids))},
    )
    return {row.product_id: row.family for row in await store.rows(ProductFamily, query)}


async def newest_alignment(store: Store) -> int:
    query = Statement("SELECT coalesce(max(alignment_version), 0) AS number FROM alignments", {})
    return (await store.rows(Number, query))[0].number


async def approver(store: Store, actor: Actor, deal: Deal) -> Approver:
    query = Statement(
        "SELECT amount_minor AS number FROM approval_limits"
        " WHERE contact_id = %(contact_id)s AND currency = %(currency)s",
        {"contact_id": actor.id, "currency": deal.registered.currency},
    )
    limits = await store.rows(Number, query)
    return Approver(actor, limits[0].number if limits else None)


async def lines_of(store: Store, deal: Deal) -> list[Exclusivity]:
    return await store.load_many(Exclusivity, [claim.exclusivity_id for claim in deal.claims])


def worst_place(deal: Deal, lines: Iterable[Exclusivity]) -> int:
    return max(line.place_of(deal.id) for line in lines)
