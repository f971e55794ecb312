"""The commands that notify-svc accepts: find who is to be told, tell, save."""

from collections.abc import Iterable
from uuid import UUID

from chassis.context import Context
from chassis.sql import Statement
from chassis.store import Saved, Store
from notify_svc.domain import Message, Notification, Recipient, notification_id
from prm_contracts.facts import Value
from prm_contracts.notifications import Cause
from prm_contracts.values import Role


class Seller(Value):
    """Who registered a deal, and what the deal is called."""

    seller_id: UUID
    partner_id: UUID
    customer: str


async def tell(
    store: Store, ctx: Context, cause: Cause, message: Message, recipients: Iterable[Recipient]
) -> Saved:
    told = []
    for recipient in recipients:
        id = notification_id(cause.event_id, recipient.contact_id, "in-app")
        notification = Notification(id)  # never loaded: a repeat of the command is not run
        notification.queue(recipient, cause, "in-app", message)
        told.append(notification)
    return await store.save(ctx, *told)


async def tell_contact(
    store: Store, ctx: Context, cause: Cause, message: Message, contact_id: UUID
) -> Saved:
    query = Statement(
        "SELECT contact_id, partner_id FROM contacts WHERE contact_id = %(contact_id)s",
        {"contact_id": contact_id},
    )
    return await tell(store, ctx, cause, message, await store.rows(Recipient, query))


async def tell_partner(
    store: Store, ctx: Context, cause: Cause, message: Message, partner_id: UUID
) -> Saved:
    """Every active contact of the partner."""
    people = Statement(
        "SELECT contact_id, partner_id FROM contacts"
        " WHERE partner_id = %(partner_id)s AND is_active ORDER BY contact_id",
        {"partner_id": partner_id},
    )
    return await tell(store, ctx, cause, message, await store.rows(Recipient, people))


async def tell_vendor(
    store: Store, ctx: Context, cause: Cause, message: Message, partner_id: UUID, role: Role
) -> Saved:
    """The partner's channel manager; where none is assigned, everybody with the role."""
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
    people = await store.rows(Recipient, manager) or await store.rows(Recipient, holders)
    return await tell(store, ctx, cause, message, people)


async def tell_seller(
    store: Store, ctx: Context, cause: Cause, message: Message, deal_id: UUID
) -> Saved:
    """Who registered the deal. The text also names the deal's customer, the partner's own."""
    sellers = await deal_sellers(store, deal_id)
    recipients = [Recipient(contact_id=s.seller_id, partner_id=s.partner_id) for s in sellers]
    named = {"customer": sellers[0].customer} if sellers else {}
    told = Message(template=message.template, params=message.params | named)
    return await tell(store, ctx, cause, told, recipients)


async def tell_deal_vendor(
    store: Store, ctx: Context, cause: Cause, message: Message, deal_id: UUID, role: Role
) -> Saved:
    """The channel manager of the deal's partner, as in `tell_vendor`."""
    sellers = await deal_sellers(store, deal_id)
    if not sellers:
        return await tell(store, ctx, cause, message, ())
    told = Message(
        template=message.template, params=message.params | {"customer": sellers[0].customer}
    )
    return await tell_vendor(store, ctx, cause, told, sellers[0].partner_id, role)


async def deal_sellers(store: Store, deal_id: UUID) -> list[Seller]:
    """One, or none if the deal is not known here."""
    query = Statement(
        "SELECT seller_id, partner_id, customer FROM deals WHERE deal_id = %(deal_id)s",
        {"deal_id": deal_id},
    )
    return await store.rows(Seller, query)


async def read_notification(store: Store, ctx: Context, notification_id: UUID) -> Saved:
    notification = await store.load_addressed(ctx, Notification, notification_id)
    notification.read(ctx.actor)
    return await store.save(ctx, notification)
