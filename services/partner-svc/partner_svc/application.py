"""The commands that partner-svc accepts: load, tell, save."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from chassis.context import Context
from chassis.sql import Statement
from chassis.store import Saved, Store
from partner_svc.domain.administration import Administration, administration_id
from partner_svc.domain.contact import Contact, ContactNotFound, Invitation, Limit, Preferences
from partner_svc.domain.naming import KnownPartner, similar_partners
from partner_svc.domain.partner import Partner, Profile, unique_keys
from partner_svc.domain.reservation import Reservation, UniqueKey
from prm_contracts.facts import Personal
from prm_contracts.partners import MutedMails
from prm_contracts.values import Code, Role


async def register_partner(store: Store, ctx: Context, profile: Profile) -> Saved:
    partner = Partner(ctx.new_id("partner"))
    names = (profile.legal_name, *profile.trading_names)
    known = await known_partners(store, profile.country)
    partner.register(ctx.actor, profile, similar_partners(names, known))
    keys = await reserved(store, ctx, unique_keys(profile), partner.id)
    return await store.save(ctx, partner, *keys)


async def reserved(
    store: Store, ctx: Context, keys: Sequence[UniqueKey], holder: UUID
) -> list[Reservation]:
    """Raises KeyTaken."""
    reservations = await store.load_many_or_new(Reservation, [key.reservation_id for key in keys])
    for key, reservation in zip(keys, reservations, strict=True):
        reservation.reserve(key.scope, holder, tells_holder=ctx.actor.tenant_id is None)
    return reservations


async def released(store: Store, keys: Sequence[UniqueKey], holder: UUID) -> list[Reservation]:
    reservations = await store.load_many(Reservation, [key.reservation_id for key in keys])
    for key, reservation in zip(keys, reservations, strict=True):
        reservation.release(key.scope, holder)
    return reservations


async def known_partners(store: Store, country: str) -> list[KnownPartner]:
    """Live ones, as far as they are projected: enough for a hint."""
    query = Statement(
        "SELECT partner_id, (document -> 'trading_names') || (document -> 'legal_name') AS names"
        " FROM partner_list"
        " WHERE country = %(country)s AND status <> 'terminated'",
        {"country": country},
    )
    return await store.rows(KnownPartner, query)


async def approve_partner(
    store: Store, ctx: Context, partner_id: UUID, terms_version: Code
) -> Saved:
    partner = await store.load_addressed(ctx, Partner, partner_id)
    partner.approve(ctx.actor, terms_version)
    return await store.save(ctx, partner)


async def reject_partner(
    store: Store, ctx: Context, partner_id: UUID, reason_code: Code, note: Personal | None
) -> Saved:
    partner = await store.load_addressed(ctx, Partner, partner_id)
    partner.reject(ctx.actor, reason_code, note)
    keys = await released(store, partner.keys, partner.id)
    return await store.save(ctx, partner, *keys)


async def suspend_partner(
    store: Store, ctx: Context, partner_id: UUID, reason_code: Code, note: Personal | None
) -> Saved:
    partner = await store.load_addressed(ctx, Partner, partner_id)
    partner.suspend(ctx.actor, reason_code, note)
    return await store.save(ctx, partner)


async def reinstate_partner(
    store: Store, ctx: Context, partner_id: UUID, note: Personal | None
) -> Saved:
    partner = await store.load_addressed(ctx, Partner, partner_id)
    partner.reinstate(ctx.actor, note)
    return await store.save(ctx, partner)


async def assign_channel_manager(
    store: Store, ctx: Context, partner_id: UUID, contact_id: UUID
) -> Saved:
    partner = await store.load_addressed(ctx, Partner, partner_id)
    partner.assign_channel_manager(ctx.actor, await store.load(Contact, contact_id))
    return await store.save(ctx, partner)


async def invite_contact(store: Store, ctx: Context, invitation: Invitation) -> Saved:
    if invitation.partner_id:
        partner = await store.load_addressed(ctx, Partner, invitation.partner_id)
        partner.refuse_ended()
    contact = Contact(ctx.new_id("contact"))
    contact.invite(ctx.actor, invitation, ctx.now)
    keys = await reserved(store, ctx, contact.keys, contact.id)
    return await store.save(ctx, contact, *keys)


async def accept_invitation(store: Store, ctx: Context, contact_id: UUID) -> Saved:
    contact = await store.load_addressed(ctx, Contact, contact_id)
    contact.accept(ctx.actor, ctx.now)
    return await store.save(ctx, contact, *await administrations(store, contact))


async def expire_invitation(
    store: Store, ctx: Context, contact_id: UUID, due_at: datetime
) -> Saved:
    contact = await store.load(Contact, contact_id)
    contact.expire_invitation(due_at)
    if contact.is_live:
        return await store.save(ctx, contact)
    keys = await released(store, contact.keys, contact.id)
    return await store.save(ctx, contact, *keys)


async def grant_role(store: Store, ctx: Context, contact_id: UUID, role: Role) -> Saved:
    contact = await store.load_addressed(ctx, Contact, contact_id)
    contact.grant_role(ctx.actor, role)
    return await store.save(ctx, contact, *await administrations(store, contact))


async def revoke_role(store: Store, ctx: Context, contact_id: UUID, role: Role) -> Saved:
    contact = await store.load_addressed(ctx, Contact, contact_id)
    contact.revoke_role(ctx.actor, role)
    return await store.save(ctx, contact, *await administrations(store, contact))


async def set_limit(store: Store, ctx: Context, contact_id: UUID, limit: Limit) -> Saved:
    contact = await store.load_addressed(ctx, Contact, contact_id)
    contact.set_limit(ctx.actor, limit)
    return await store.save(ctx, contact)


async def set_notification_preferences(
    store: Store, ctx: Context, contact_id: UUID, preferences: Preferences
) -> Saved:
    contact = await store.load_addressed(ctx, Contact, contact_id)
    contact.set_notification_preferences(ctx.actor, preferences)
    return await store.save(ctx, contact)


async def mute_mails(store: Store, ctx: Context, contact_id: UUID, group: MutedMails) -> Saved:
    contact = await store.load(Contact, contact_id)
    contact.mute(group)
    return await store.save(ctx, contact)


async def deactivate_contact(
    store: Store, ctx: Context, contact_id: UUID, reason_code: Code
) -> Saved:
    contact = await store.load_addressed(ctx, Contact, contact_id)
    contact.deactivate(ctx.actor, reason_code)
    keys = await released(store, contact.keys, contact.id)
    return await store.save(ctx, contact, *keys, *await administrations(store, contact))


async def administrations(store: Store, contact: Contact) -> tuple[Administration, ...]:
    """The partner's list of administrators after what became of the contact; none a vendor's."""
    if contact.tenant_id is None:
        return ()
    administration = await store.load_or_new(Administration, administration_id(contact.tenant_id))
    administration.follow(contact.tenant_id, contact)
    return (administration,)


async def admit_contact(
    store: Store, ctx: Context, contact_id: UUID, invitation: Invitation, limits: tuple[Limit, ...]
) -> Saved:
    """An active contact with these roles under an id of the caller's choice, and with these
    limits where it has none; what is so already stays as it is.
    """
    contact = await store.load_or_new(Contact, contact_id)
    keys: list[Reservation] = []
    if not contact.version:
        if invitation.partner_id:
            (await store.load(Partner, invitation.partner_id)).refuse_ended()
        contact.invite(ctx.actor, invitation, ctx.now)
        contact.accept(ctx.actor, ctx.now)
        keys = await reserved(store, ctx, contact.keys, contact.id)
    for role in invitation.roles:
        contact.grant_role(ctx.actor, role)
    for limit in () if contact.limits else limits:
        contact.set_limit(ctx.actor, limit)
    return await store.save(ctx, contact, *keys, *await administrations(store, contact))


async def log_on(
    store: Store, ctx: Context, contact_id: UUID, role: Role, partner_id: UUID | None
) -> Saved:
    """Records nothing: refuses whoever may not have a token in this role, now."""
    contact = await store.load(Contact, contact_id)
    if contact.tenant_id != partner_id:
        raise ContactNotFound(contact_id)
    contact.refuse_log_on(role)
    return await store.save(ctx, contact)
