"""The commands that notify-svc accepts: find who is to be told, tell, save."""

from collections.abc import Iterable
from uuid import UUID

from chassis.context import Context
from chassis.sql import Statement
from chassis.store import Saved, Store
from notify_svc.domain import Message, Notification, Recipient, notification_id
from prm_contracts.facts import Value
from prm_contracts.notifications import Cause, MailFact
from prm_contracts.values import Code, Role


class KnownDeal(Value):
    """Who registered a deal, and what the deal is called."""

    seller_id: UUID
    partner_id: UUID
    customer: str


async def tell_contact(
    store: Store, ctx: Context, cause: Cause, template: Code, contact_id: UUID
) -> Saved:
    query = Statement(
        "SELECT contact_id, partner_id FROM contacts WHERE contact_id = %(contact_id)s",
        {"contact_id": contact_id},
    )
    message = Message(template=template)
    return await tell(store, ctx, cause, message, await store.rows(Recipient, query))


async def tell_partner(
    store: Store, ctx: Context, cause: Cause, template: Code, partner_id: UUID, **params: str | int
) -> Saved:
    """Every active contact of the partner."""
    people = Statement(
        "SELECT contact_id, partner_id FROM contacts"
        " WHERE partner_id = %(partner_id)s AND is_active ORDER BY contact_id",
        {"partner_id": partner_id},
    )
    message = Message(template=template, params=params)
    return await tell(store, ctx, cause, message, await store.rows(Recipient, people))


async def tell_seller(
    store: Store, ctx: Context, cause: Cause, template: Code, deal_id: UUID, **params: str | int
) -> Saved:
    """Who registered the deal. The text also names the deal's customer, the partner's own."""
    recipients, message = [], Message(template=template, params=params)
    for deal in await deals_known_as(store, deal_id):
        recipients = [Recipient(contact_id=deal.seller_id, partner_id=deal.partner_id)]
        message = Message(template=template, params=params | {"customer": deal.customer})
    return await tell(store, ctx, cause, message, recipients)


async def tell_vendor_of_deal(
    store: Store,
    ctx: Context,
    cause: Cause,
    template: Code,
    deal_id: UUID,
    *,
    role: Role,
    **params: str | int,
) -> Saved:
    """The channel manager of the deal's partner if of that role, else everybody with the role."""
    recipients, message = [], Message(template=template, params=params)
    for deal in await deals_known_as(store, deal_id):
        recipients = await vendor_people(store, deal.partner_id, role)
        message = Message(template=template, params=params | {"customer": deal.customer})
    return await tell(store, ctx, cause, message, recipients)


async def read_notification(store: Store, ctx: Context, notification_id: UUID) -> Saved:
    notification = await store.load_addressed(ctx, Notification, notification_id)
    notification.read(ctx.actor)
    return await store.save(ctx, notification)


async def retry_mail(store: Store, ctx: Context, notification_id: UUID) -> Saved:
    notification = await store.load_addressed(ctx, Notification, notification_id)
    notification.retry_mail(ctx.actor)
    return await store.save(ctx, notification)


async def settle_mail(
    store: Store, ctx: Context, notification_id: UUID, outcome: MailFact
) -> Saved:
    notification = await store.load(Notification, notification_id)
    notification.settle_mail(outcome)
    return await store.save(ctx, notification)


async def tell(
    store: Store, ctx: Context, cause: Cause, message: Message, recipients: Iterable[Recipient]
) -> Saved:
    told = []
    for recipient in recipients:
        of_recipient = notification_id(cause.event_id, recipient.contact_id, "in-app")
        notification = Notification(of_recipient)  # not loaded: a repeated command is not run
        notification.queue(recipient, cause, "in-app", message)
        told.append(notification)
    return await store.save(ctx, *told)


async def vendor_people(store: Store, partner_id: UUID, role: Role) -> list[Recipient]:
    manager = Statement(
        "SELECT contact_id, NULL AS partner_id FROM contacts JOIN partners"
        " ON contact_id = channel_manager_id"
        " WHERE partners.partner_id = %(partner_id)s AND is_active AND roles ? %(role)s",
        {"partner_id": partner_id, "role": role},
    )
    holders = Statement(
        "SELECT contact_id, NULL AS partner_id FROM contacts"
        " WHERE side = 'vendor' AND is_active AND roles ? %(role)s ORDER BY contact_id",
        {"role": role},
    )
    return await store.rows(Recipient, manager) or await store.rows(Recipient, holders)


async def deals_known_as(store: Store, deal_id: UUID) -> list[KnownDeal]:
    """One, or none where the registration was not seen."""
    query = Statement(
        "SELECT seller_id, partner_id, customer FROM deals WHERE deal_id = %(deal_id)s",
        {"deal_id": deal_id},
    )
    return await store.rows(KnownDeal, query)
