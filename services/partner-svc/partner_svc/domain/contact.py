"""A person of a partner or of the vendor who logs on: what it refuses and what it records."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import assert_never
from uuid import UUID

from pydantic import Field

from chassis.aggregates import Aggregate
from chassis.context import Actor
from chassis.errors import Conflict, Forbidden, Invalid, NotFound, RoleNeeded
from partner_svc.domain.reservation import UniqueKey, reservation_id
from prm_contracts.facts import Personal, Value
from prm_contracts.partners import (
    ContactActivated,
    ContactDeactivated,
    ContactFact,
    ContactInvited,
    InvitationExpired,
    LimitKind,
    LimitSet,
    MutedMails,
    NotificationPreferencesSet,
    RoleGranted,
    RoleRevoked,
    Side,
)
from prm_contracts.values import Code, Currency, ExternalId, Language, MinorUnits, Role

EXTERNAL_ID: Code = "contact-external-id"
INVITATION_VALID = timedelta(days=14)
ROLES: dict[Side, tuple[Role, ...]] = {
    "vendor": (
        "channel-account-manager",
        "channel-operations",
        "finance-approver",
        "integrator",
        "platform-operator",
    ),
    "partner": ("partner-admin", "partner-seller"),
}
# Who invites contacts of a side and gives them roles; the platform operator only to break glass.
ADMINISTRATORS: dict[Side, tuple[Role, ...]] = {
    "vendor": ("channel-operations", "platform-operator"),
    "partner": (
        "channel-account-manager",
        "channel-operations",
        "partner-admin",
        "platform-operator",
    ),
}


class Status(StrEnum):
    INVITED = "invited"
    ACTIVE = "active"
    EXPIRED = "expired"
    DEACTIVATED = "deactivated"


class Invitation(Value):
    """Whom to invite. `partner_id`: null for the vendor's side. `email_key`: see the fact."""

    side: Side
    partner_id: UUID | None
    name: Personal
    email: Personal
    email_key: UUID
    phone: Personal | None = None
    language: Language
    roles: tuple[Role, ...] = Field(min_length=1)
    external_ids: tuple[ExternalId, ...] = ()


class Limit(Value):
    """Up to which amount a person decides alone."""

    kind: LimitKind
    currency: Currency
    amount_minor: MinorUnits


class Preferences(Value):
    """What a person wants to be told in, and not to be mailed; it still stands in the inbox.

    `muted`: groups of e-mails; those on the account or the partnership itself always come.
    """

    language: Language
    muted: tuple[MutedMails, ...] = Field((), max_length=20)


class ContactNotFound(NotFound):
    """There is no such contact, or it is not yours."""


@dataclass(eq=False)
class SideUnclear(Invalid):
    """A partner's contact names its partner, a vendor's contact names none: say which it is."""

    side: Side


@dataclass(eq=False)
class RoleOfOtherSide(Invalid):
    """The role named here belongs to the other side: choose one of this side's roles."""

    role: Role
    roles: tuple[Role, ...]


@dataclass(eq=False)
class InvitationClosed(Conflict):
    """Only an open invitation can be accepted: ask for a new one."""

    contact_id: UUID
    contact_status: Status


@dataclass(eq=False)
class InvitationLapsed(Conflict):
    """The invitation was valid until the instant named here: ask for a new one."""

    valid_until: datetime


class NotYourInvitation(Forbidden):
    """Only who is invited, or who invited, accepts an invitation: ask one of the two."""


@dataclass(eq=False)
class ContactGone(Conflict):
    """This contact no longer takes part: invite the person anew."""

    contact_id: UUID
    contact_status: Status


@dataclass(eq=False)
class ContactNotActive(Conflict):
    """Only an active contact logs on: let the invitation be accepted, or invite anew."""

    contact_id: UUID
    contact_status: Status


@dataclass(eq=False)
class RoleNotHeld(Forbidden):
    """Nobody logs on in a role that they do not hold: ask for one of the roles named here."""

    roles: tuple[Role, ...]


class OnlyForOneself(Forbidden):
    """Everybody chooses their own e-mails: ask the person to do so."""


class NotForOneself(Forbidden):
    """Nobody sets their own limits or vendor roles: ask another person of operations."""


@dataclass(eq=False)
class VendorContactNeeded(Conflict):
    """Only the vendor's people hold limits: choose one of them."""

    contact_id: UUID


def unique_keys(named: Invitation | ContactInvited) -> tuple[UniqueKey, ...]:
    """The address at this partner, and what other systems call the person; each once."""
    external = {f"{external.system} {external.id}" for external in named.external_ids}
    return (
        UniqueKey(scope="e-mail", reservation_id=named.email_key),
        *(
            UniqueKey(scope=EXTERNAL_ID, reservation_id=reservation_id(EXTERNAL_ID, key))
            for key in sorted(external)
        ),
    )


class Contact(Aggregate[ContactFact]):
    not_found = ContactNotFound
    status: Status
    side: Side
    roles: tuple[Role, ...] = ()
    limits: tuple[Limit, ...] = ()
    preferences: Preferences
    invited_by: UUID
    valid_until: datetime
    keys: tuple[UniqueKey, ...] = ()

    @property
    def is_live(self) -> bool:
        return self.status in {Status.INVITED, Status.ACTIVE}

    @property
    def is_channel_manager(self) -> bool:
        return self.status is Status.ACTIVE and "channel-account-manager" in self.roles

    @property
    def is_partner_admin(self) -> bool:
        return self.status is Status.ACTIVE and "partner-admin" in self.roles

    def invite(self, actor: Actor, invitation: Invitation, now: datetime) -> None:
        refuse_foreign_hands(actor, invitation.side)
        if (invitation.partner_id is None) != (invitation.side == "vendor"):
            raise SideUnclear(invitation.side)
        for role in invitation.roles:
            refuse_role_of_other_side(role, invitation.side)
        given = {name: getattr(invitation, name) for name in Invitation.model_fields}
        valid_until = now + INVITATION_VALID
        self.record(ContactInvited(**given, valid_until=valid_until, invited_by=actor.id))

    def accept(self, actor: Actor, now: datetime) -> None:
        if self.status is not Status.INVITED:
            raise InvitationClosed(self.id, self.status)
        if actor.id not in {self.id, self.invited_by}:
            raise NotYourInvitation
        if now >= self.valid_until:
            raise InvitationLapsed(self.valid_until)
        self.record(ContactActivated())

    def expire_invitation(self, due_at: datetime) -> None:
        """Late, and told twice, it changes nothing."""
        if self.status is Status.INVITED and due_at == self.valid_until:
            self.record(InvitationExpired(due_at=due_at))

    def grant_role(self, actor: Actor, role: Role) -> None:
        self.refuse_changed_rights(actor)
        refuse_role_of_other_side(role, self.side)
        if role not in self.roles:
            self.record(RoleGranted(role=role, granted_by=actor.id))

    def revoke_role(self, actor: Actor, role: Role) -> None:
        self.refuse_changed_rights(actor)
        if role in self.roles:
            self.record(RoleRevoked(role=role, revoked_by=actor.id))

    def set_limit(self, actor: Actor, limit: Limit) -> None:
        if self.side != "vendor":
            raise VendorContactNeeded(self.id)
        self.refuse_changed_rights(actor)
        if limit not in self.limits:
            given = {name: getattr(limit, name) for name in Limit.model_fields}
            self.record(LimitSet(**given, set_by=actor.id))

    def set_notification_preferences(self, actor: Actor, preferences: Preferences) -> None:
        if actor.id != self.id:
            raise OnlyForOneself
        self.refuse_gone()
        muted = tuple(sorted(set(preferences.muted)))
        wanted = Preferences(language=preferences.language, muted=muted)
        if wanted != self.preferences:
            self.record(NotificationPreferencesSet(language=wanted.language, muted=muted))

    def mute(self, group: MutedMails) -> None:
        """By a link that this person alone was sent. Who is gone gets no e-mails anyway."""
        if self.is_live and group not in self.preferences.muted:
            muted = tuple(sorted({*self.preferences.muted, group}))
            language = self.preferences.language
            self.record(NotificationPreferencesSet(language=language, muted=muted))

    def deactivate(self, actor: Actor, reason_code: Code) -> None:
        refuse_foreign_hands(actor, self.side)
        self.refuse_gone()
        self.record(ContactDeactivated(reason_code=reason_code, deactivated_by=actor.id))

    def refuse_log_on(self, role: Role) -> None:
        if self.status is not Status.ACTIVE:
            raise ContactNotActive(self.id, self.status)
        if role not in self.roles:
            raise RoleNotHeld(self.roles)

    def refuse_changed_rights(self, actor: Actor) -> None:
        """A partner's administrator may add to the own roles; they end at the own partner."""
        refuse_foreign_hands(actor, self.side)
        self.refuse_gone()
        if self.side == "vendor" and actor.id == self.id:
            raise NotForOneself

    def refuse_gone(self) -> None:
        if not self.is_live:
            raise ContactGone(self.id, self.status)

    def apply(self, fact: ContactFact) -> None:
        match fact:
            case ContactInvited():
                self.status, self.side, self.tenant_id = Status.INVITED, fact.side, fact.partner_id
                self.roles, self.invited_by = fact.roles, fact.invited_by
                self.valid_until, self.keys = fact.valid_until, unique_keys(fact)
                self.preferences = Preferences(language=fact.language)
            case ContactActivated():
                self.status = Status.ACTIVE
            case InvitationExpired():
                self.status = Status.EXPIRED
            case RoleGranted():
                self.roles = (*self.roles, fact.role)
            case RoleRevoked():
                self.roles = tuple(role for role in self.roles if role != fact.role)
            case LimitSet():
                kept = [
                    limit
                    for limit in self.limits
                    if (limit.kind, limit.currency) != (fact.kind, fact.currency)
                ]
                new = Limit(kind=fact.kind, currency=fact.currency, amount_minor=fact.amount_minor)
                self.limits = (*kept, new)
            case NotificationPreferencesSet():
                self.preferences = Preferences(language=fact.language, muted=fact.muted)
            case ContactDeactivated():
                self.status = Status.DEACTIVATED
            case _:
                assert_never(fact)


def refuse_foreign_hands(actor: Actor, side: Side) -> None:
    """Raises RoleNeeded unless the actor administers contacts of that side."""
    if not actor.roles & set(ADMINISTRATORS[side]):
        raise RoleNeeded(ADMINISTRATORS[side])


def refuse_role_of_other_side(role: Role, side: Side) -> None:
    if role not in ROLES[side]:
        raise RoleOfOtherSide(role, ROLES[side])
