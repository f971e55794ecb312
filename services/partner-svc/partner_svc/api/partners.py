"""Partners over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import Response
from pydantic import Field

from chassis.web.http import Accepted, Asker, Ctx, HasPorts, Ports, accepted, waits_for
from chassis.web.lists import PageAsked, page_of
from chassis.web.pages import AsOf, Listed, listed, one
from chassis.web.routes import Router
from partner_svc import application, queries
from partner_svc.api.roles import CHANNEL, OPERATIONS, READERS
from partner_svc.domain.partner import PartnerNotFound, Profile
from prm_contracts.facts import Personal, Value
from prm_contracts.partners import PartnerType
from prm_contracts.values import Code, Country

partners = Router(prefix="/v1/partners", tags=["partners"])

Note = Annotated[str, Field(min_length=1, max_length=2000)]

PartnerPage = Annotated[
    PageAsked, page_of(queries.PartnerView, "legal_name", "country", "registered_at", "status")
]


class ApprovePartner(Value):
    """`terms_version`: of the terms that the partner accepted."""

    terms_version: Code


class Reason(Value):
    reason_code: Code
    note: Note | None = None


class ReinstatePartner(Value):
    note: Note | None = None


class AssignChannelManager(Value):
    """`contact_id`: an active vendor contact with the role channel-account-manager."""

    contact_id: UUID


@partners.post("", status_code=201, dependencies=[CHANNEL])
async def register_partner(body: Profile, ctx: Ctx, ports: HasPorts, out: Response) -> Accepted:
    saved = await ports.events.execute(application.register_partner, ctx, body)
    return accepted(saved, ports, out)


@partners.post("/{partner_id}/approve", dependencies=[OPERATIONS])
async def approve_partner(
    partner_id: UUID, body: ApprovePartner, ctx: Ctx, ports: HasPorts, out: Response
) -> Accepted:
    asked = (partner_id, body.terms_version)
    saved = await ports.events.execute(application.approve_partner, ctx, *asked)
    return accepted(saved, ports, out)


@partners.post("/{partner_id}/reject", dependencies=[OPERATIONS])
async def reject_partner(
    partner_id: UUID, body: Reason, ctx: Ctx, ports: HasPorts, out: Response
) -> Accepted:
    asked = (partner_id, body.reason_code, await sealed(ports, partner_id, body.note))
    saved = await ports.events.execute(application.reject_partner, ctx, *asked)
    return accepted(saved, ports, out)


@partners.post("/{partner_id}/suspend", dependencies=[OPERATIONS])
async def suspend_partner(
    partner_id: UUID, body: Reason, ctx: Ctx, ports: HasPorts, out: Response
) -> Accepted:
    asked = (partner_id, body.reason_code, await sealed(ports, partner_id, body.note))
    saved = await ports.events.execute(application.suspend_partner, ctx, *asked)
    return accepted(saved, ports, out)


@partners.post("/{partner_id}/reinstate", dependencies=[OPERATIONS])
async def reinstate_partner(
    partner_id: UUID, body: ReinstatePartner, ctx: Ctx, ports: HasPorts, out: Response
) -> Accepted:
    note = await sealed(ports, partner_id, body.note)
    saved = await ports.events.execute(application.reinstate_partner, ctx, partner_id, note)
    return accepted(saved, ports, out)


@partners.post("/{partner_id}/assign-channel-manager", dependencies=[OPERATIONS])
async def assign_channel_manager(
    partner_id: UUID, body: AssignChannelManager, ctx: Ctx, ports: HasPorts, out: Response
) -> Accepted:
    asked = (partner_id, body.contact_id)
    saved = await ports.events.execute(application.assign_channel_manager, ctx, *asked)
    return accepted(saved, ports, out)


@partners.get(
    "",
    response_model=Listed[queries.PartnerView],
    dependencies=[READERS, waits_for("partner_list")],
)
async def partner_list(
    asker: Asker,
    ports: HasPorts,
    page: PartnerPage,
    *,
    status: queries.PartnerStatus | None = None,
    country: Country | None = None,
    type: PartnerType | None = None,
) -> Response:
    """By legal name. A partner's people see their own partner."""
    listing = queries.partners(asker, status, country, type)
    return await listed(ports, asker, page, listing, opens=True)


@partners.get(
    "/{partner_id}",
    response_model=queries.PartnerView,
    dependencies=[READERS, waits_for("partner_list")],
)
async def partner(partner_id: UUID, asker: Asker, ports: HasPorts, as_of: AsOf = None) -> Response:
    query, missing = queries.partner(asker, partner_id), PartnerNotFound(partner_id)
    return await one(ports, asker, query, missing, opens=True, as_of=as_of)


async def sealed(ports: Ports, subject: UUID, text: str | None) -> Personal | None:
    return await ports.vault.seal(subject, text) if text else None
