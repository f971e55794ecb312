"""People of both sides over HTTP."""

import logging
from typing import Annotated
from uuid import UUID

from fastapi import Response
from pydantic import Field

from chassis.context import Context
from chassis.web.http import Accepted, Asker, Ctx, HasPorts, Ports, accepted, waits_for
from chassis.web.lists import PageAsked, page_of
from chassis.web.pages import AsOf, Listed, listed, one
from chassis.web.routes import Router
from partner_svc import application, queries
from partner_svc.api.roles import ADMINISTRATION, COLLEAGUES, OPERATIONS
from partner_svc.domain.contact import ContactNotFound, Invitation, Limit, Preferences
from partner_svc.domain.partner import MOST
from prm_contracts.facts import Value
from prm_contracts.partners import Side
from prm_contracts.values import Code, ExternalId, Language, Name, Role

logger = logging.getLogger(__name__)

contacts = Router(prefix="/v1/contacts", tags=["contacts"])

Email = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$", max_length=254)]
Phone = Annotated[str, Field(pattern=r"^\+[0-9 ()-]{5,30}$", description="with country code")]
ContactPage = Annotated[PageAsked, page_of(queries.ContactView, "invited_at", "status")]


class InviteContact(Value):
    """`partner_id`: null for the vendor's side. `email`: unique per partner."""

    side: Side
    partner_id: UUID | None = None
    name: Name
    email: Email
    phone: Phone | None = None
    language: Language
    roles: tuple[Role, ...] = Field(min_length=1, max_length=MOST)
    external_ids: tuple[ExternalId, ...] = Field((), max_length=MOST)


class ChangeRole(Value):
    role: Role


class DeactivateContact(Value):
    reason_code: Code


@contacts.post("", status_code=201, dependencies=[ADMINISTRATION])
async def invite_contact(body: InviteContact, ctx: Ctx, ports: HasPorts, out: Response) -> Accepted:
    """Valid for 14 days. The vendor's people are invited by operations."""
    warn_of_broken_glass(ctx, "invite-contact")
    invited = await sealed_invitation(ports, ctx.new_id("contact"), body)
    saved = await ports.events.execute(application.invite_contact, ctx, invited)
    return accepted(saved, ports, out)


@contacts.post("/{contact_id}/accept", dependencies=[ADMINISTRATION])
async def accept_invitation(contact_id: UUID, ctx: Ctx, ports: HasPorts, out: Response) -> Accepted:
    """By who invited, until people log on with credentials of their own."""
    saved = await ports.events.execute(application.accept_invitation, ctx, contact_id)
    return accepted(saved, ports, out)


@contacts.post("/{contact_id}/grant-role", dependencies=[ADMINISTRATION])
async def grant_role(
    contact_id: UUID, body: ChangeRole, ctx: Ctx, ports: HasPorts, out: Response
) -> Accepted:
    warn_of_broken_glass(ctx, "grant-role")
    saved = await ports.events.execute(application.grant_role, ctx, contact_id, body.role)
    return accepted(saved, ports, out)


@contacts.post("/{contact_id}/revoke-role", dependencies=[ADMINISTRATION])
async def revoke_role(
    contact_id: UUID, body: ChangeRole, ctx: Ctx, ports: HasPorts, out: Response
) -> Accepted:
    """A partner's last administrator keeps the role."""
    warn_of_broken_glass(ctx, "revoke-role")
    saved = await ports.events.execute(application.revoke_role, ctx, contact_id, body.role)
    return accepted(saved, ports, out)


@contacts.post("/{contact_id}/set-limit", dependencies=[OPERATIONS])
async def set_limit(
    contact_id: UUID, body: Limit, ctx: Ctx, ports: HasPorts, out: Response
) -> Accepted:
    """Vendor contacts only, and never one's own. Replaces the limit of this kind and currency."""
    saved = await ports.events.execute(application.set_limit, ctx, contact_id, body)
    return accepted(saved, ports, out)


@contacts.post("/{contact_id}/set-notification-preferences", dependencies=[COLLEAGUES])
async def set_notification_preferences(
    contact_id: UUID, body: Preferences, ctx: Ctx, ports: HasPorts, out: Response
) -> Accepted:
    """By the person only. The language is that of e-mails; what is muted stays in the inbox."""
    asked = (contact_id, body)
    saved = await ports.events.execute(application.set_notification_preferences, ctx, *asked)
    return accepted(saved, ports, out)


@contacts.post("/{contact_id}/deactivate", dependencies=[ADMINISTRATION])
async def deactivate_contact(
    contact_id: UUID, body: DeactivateContact, ctx: Ctx, ports: HasPorts, out: Response
) -> Accepted:
    """A partner's last administrator stays."""
    warn_of_broken_glass(ctx, "deactivate-contact")
    asked = (contact_id, body.reason_code)
    saved = await ports.events.execute(application.deactivate_contact, ctx, *asked)
    return accepted(saved, ports, out)


@contacts.get(
    "",
    response_model=Listed[queries.ContactView],
    dependencies=[COLLEAGUES, waits_for("contact_list")],
)
async def contact_list(
    asker: Asker,
    ports: HasPorts,
    page: ContactPage,
    *,
    partner_id: UUID | None = None,
    side: Side | None = None,
    role: Role | None = None,
    status: queries.ContactStatus | None = None,
) -> Response:
    """In order of invitation. A partner's people see their colleagues."""
    listing = queries.contacts(asker, partner_id, side, role, status)
    return await listed(ports, asker, page, listing, opens=True)


@contacts.get(
    "/{contact_id}",
    response_model=queries.ContactView,
    dependencies=[COLLEAGUES, waits_for("contact_list")],
)
async def contact(contact_id: UUID, asker: Asker, ports: HasPorts, as_of: AsOf = None) -> Response:
    query, missing = queries.contact(asker, contact_id), ContactNotFound(contact_id)
    return await one(ports, asker, query, missing, opens=True, as_of=as_of)


async def sealed_invitation(ports: Ports, contact_id: UUID, body: InviteContact) -> Invitation:
    """The person is the subject of the name and the addresses; the e-mail's key is a keyed hash."""
    address = body.email.casefold()
    return Invitation(
        side=body.side,
        partner_id=body.partner_id,
        name=await ports.vault.seal(contact_id, body.name),
        email=await ports.vault.seal(contact_id, body.email),
        email_key=ports.vault.key_of("contact-email", f"{body.partner_id or 'vendor'} {address}"),
        phone=await ports.vault.seal(contact_id, body.phone) if body.phone else None,
        language=body.language,
        roles=tuple(dict.fromkeys(body.roles)),
        external_ids=body.external_ids,
    )


def warn_of_broken_glass(ctx: Context, what: str) -> None:
    """The platform operator has no business with people; an emergency leaves a trace."""
    if "platform-operator" in ctx.actor.roles:
        logger.warning("break-glass: %s by %s", what, ctx.actor.id)
