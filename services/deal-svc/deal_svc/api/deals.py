"""Deals and the waiting lines over HTTP."""

from typing import Annotated
from uuid import UUID, uuid5

from fastapi import Response
from pydantic import Field

from chassis.web.http import Accepted, Asker, Ctx, HasPorts, Ports, accepted, waits_for
from chassis.web.lists import PageAsked, page_of
from chassis.web.pages import AsOf, Listed, listed, one
from chassis.web.routes import Router
from deal_svc import application
from deal_svc.api.roles import DEAL_READERS, DECIDERS, PARTNERS, VENDORS
from deal_svc.domain.decision import DealNotFound
from deal_svc.domain.registration import DealDetails, Registration
from deal_svc.queries import deals as queries
from deal_svc.queries.receipts import Receipt
from deal_svc.queries.receipts import receipt as receipt_of
from prm_contracts.deals import RejectionReason
from prm_contracts.facts import Personal, Value
from prm_contracts.values import Code

deals = Router(prefix="/v1/deals", tags=["deals"])
claims = Router(prefix="/v1/exclusivity-claims", tags=["deals"])

Text = Annotated[str, Field(min_length=1, max_length=4000)]


DealPage = Annotated[
    PageAsked,
    page_of(
        queries.ListedDeal, "amount_minor", "customer_name", "expected_close_on", "registered_at"
    ),
]
ClaimPage = Annotated[PageAsked, page_of(queries.ClaimView, "claim_version", "claimed_at")]


class RegisterDeal(DealDetails):
    """`customer_contact`: who it is and how to reach them. `sales_activity`: what was done."""

    customer_contact: Text | None = None
    sales_activity: Text


class ApproveDeal(Value):
    """`unchecked`: decide although the conflict check has not come yet."""

    unchecked: bool = False


class RejectDeal(Value):
    reason_code: RejectionReason
    note: Text | None = None


class WithdrawDeal(Value):
    note: Text | None = None


class CheckAgain(Value):
    reason_code: Code = "requested"


@deals.post("", status_code=201, dependencies=[PARTNERS])
async def register_deal(body: RegisterDeal, ctx: Ctx, ports: HasPorts, out: Response) -> Accepted:
    """Takes a place in line for every family at once. The receipt proves it."""
    asked = await sealed_registration(ports, ctx.new_id("deal"), body)
    saved = await ports.events.execute(application.register_deal, ctx, asked)
    return accepted(saved, ports, out)


@deals.post("/{deal_id}/approve", dependencies=[DECIDERS])
async def approve_deal(
    deal_id: UUID, body: ApproveDeal, ctx: Ctx, ports: HasPorts, out: Response
) -> Accepted:
    """Within the caller's own limit in the deal's currency."""
    saved = await ports.events.execute(application.approve_deal, ctx, deal_id, body.unchecked)
    return accepted(saved, ports, out)


@deals.post("/{deal_id}/reject", dependencies=[DECIDERS])
async def reject_deal(
    deal_id: UUID, body: RejectDeal, ctx: Ctx, ports: HasPorts, out: Response
) -> Accepted:
    asked = (deal_id, body.reason_code, await sealed(ports, deal_id, body.note))
    saved = await ports.events.execute(application.reject_deal, ctx, *asked)
    return accepted(saved, ports, out)


@deals.post("/{deal_id}/withdraw", dependencies=[PARTNERS])
async def withdraw_deal(
    deal_id: UUID, body: WithdrawDeal, ctx: Ctx, ports: HasPorts, out: Response
) -> Accepted:
    """Leaves all its lines; those behind move up."""
    note = await sealed(ports, deal_id, body.note)
    saved = await ports.events.execute(application.withdraw_deal, ctx, deal_id, note)
    return accepted(saved, ports, out)


@deals.post("/{deal_id}/check-again", dependencies=[DECIDERS])
async def check_again(
    deal_id: UUID, body: CheckAgain, ctx: Ctx, ports: HasPorts, out: Response
) -> Accepted:
    """Asks for another conflict check where one is owed or the map has changed since."""
    saved = await ports.events.execute(application.request_check, ctx, deal_id, body.reason_code)
    return accepted(saved, ports, out)


@deals.get(
    "",
    response_model=Listed[queries.ListedDeal],
    dependencies=[DEAL_READERS, waits_for("deal_list", "exclusivity_line")],
)
async def deal_list(
    asker: Asker,
    ports: HasPorts,
    page: DealPage,
    *,
    status: queries.DealStatus | None = None,
    partner_id: UUID | None = None,
) -> Response:
    """The newest first. Sellers see their own, administrators those of their partner."""
    return await listed(ports, asker, page, queries.deals(asker, status, partner_id))


@deals.get(
    "/{deal_id}",
    response_model=queries.DealView,
    dependencies=[DEAL_READERS, waits_for("deal_detail", "exclusivity_line")],
)
async def deal(deal_id: UUID, asker: Asker, ports: HasPorts, as_of: AsOf = None) -> Response:
    """Partners see kind, rule and order of a conflict, never whose the other deal is."""
    query, missing = queries.deal(asker, deal_id), DealNotFound(deal_id)
    return await one(ports, asker, query, missing, opens=True, as_of=as_of)


@deals.get("/{deal_id}/receipt", dependencies=[DEAL_READERS])
async def receipt(deal_id: UUID, asker: Asker, ports: HasPorts) -> Receipt:
    """Proves the claims' order by hashes; `python -m prm_contracts.receipts` checks it."""
    found = await receipt_of(ports.questions.of(asker), asker, deal_id)
    if found is None:
        raise DealNotFound(deal_id)
    return found


@claims.get(
    "",
    response_model=Listed[queries.ClaimView],
    dependencies=[VENDORS, waits_for("exclusivity_line")],
)
async def claim_list(
    asker: Asker,
    ports: HasPorts,
    page: ClaimPage,
    *,
    exclusivity_id: UUID | None = None,
    customer_id: UUID | None = None,
    deal_id: UUID | None = None,
) -> Response:
    """Waiting lines, each in its order. `deal_id`: all lines that this deal stands in."""
    listing = queries.claims(exclusivity_id, customer_id, deal_id)
    return await listed(ports, asker, page, listing)


async def sealed(ports: Ports, subject: UUID, text: str | None) -> Personal | None:
    return await ports.vault.seal(subject, text) if text else None


async def sealed_registration(ports: Ports, deal_id: UUID, body: RegisterDeal) -> Registration:
    """Free texts are the deal's own; the customer's contact is a person with a key apart."""
    told = {name: getattr(body, name) for name in DealDetails.model_fields}
    contact = await sealed(ports, contact_of(deal_id), body.customer_contact)
    activity = await ports.vault.seal(deal_id, body.sales_activity)
    return Registration(**told, customer_contact=contact, sales_activity=activity)


def contact_of(deal_id: UUID) -> UUID:
    return uuid5(deal_id, "customer-contact")
