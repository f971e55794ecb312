"""Facts of partner-svc: partners, their contacts and the vendor's, reservations of unique keys."""

from typing import Annotated, ClassVar, Literal, get_args
from uuid import UUID

from pydantic import Field

from prm_contracts.facts import Fact, Personal, Topic, Value
from prm_contracts.values import (
    ActorId,
    Code,
    Country,
    Currency,
    Domain,
    Duns,
    ExternalId,
    Instant,
    Language,
    MinorUnits,
    Name,
    Role,
    Subdivision,
    TaxId,
    ZoneName,
)

PartnerType = Literal["reseller", "distributor", "integrator", "referral", "service-provider"]
Side = Literal["vendor", "partner"]
LimitKind = Literal["deal-approval"]
# E-mails that a person may do without: on deals, and on decisions and partners that wait for them.
# What concerns the account or the partnership itself is always mailed.
MutedMails = Literal["deals", "tasks"]


class SimilarPartner(Value):
    """A live partner with a like name: a hint to who approves, never a refusal."""

    partner_id: UUID
    points: Annotated[int, Field(ge=0, le=1000)]


class PartnerRegistered(Fact, type="prm.partner.PartnerRegistered.v1"):
    legal_name: Name
    trading_names: tuple[Name, ...] = ()
    country: Country
    subdivision: Subdivision | None = None
    types: tuple[PartnerType, ...] = Field(min_length=1)
    currency: Currency
    time_zone: ZoneName
    domains: tuple[Domain, ...] = ()
    tax_id: TaxId | None = None
    duns: Duns | None = None
    external_ids: tuple[ExternalId, ...] = ()
    similar_to: tuple[SimilarPartner, ...] = ()
    registered_by: ActorId


class PartnerActivated(Fact, type="prm.partner.PartnerActivated.v1"):
    approved_by: ActorId
    terms_version: Code


class PartnerApplicationRejected(Fact, type="prm.partner.PartnerApplicationRejected.v1"):
    rejected_by: ActorId
    reason_code: Code
    note: Personal | None = None


class PartnerSuspended(Fact, type="prm.partner.PartnerSuspended.v1"):
    suspended_by: ActorId
    reason_code: Code
    note: Personal | None = None


class PartnerReinstated(Fact, type="prm.partner.PartnerReinstated.v1"):
    reinstated_by: ActorId
    note: Personal | None = None


class ChannelManagerAssigned(Fact, type="prm.partner.ChannelManagerAssigned.v1"):
    """The one primary channel account manager, a vendor contact; replaces the one before."""

    contact_id: UUID
    assigned_by: ActorId


class ContactInvited(Fact, type="prm.contact.ContactInvited.v1"):
    """A person of the partner, or of the vendor (`partner_id` is null), is asked to log on.

    `email_key`: the reservation of the address at this partner, a keyed hash of both.
    """

    side: Side
    partner_id: UUID | None
    name: Personal
    email: Personal
    email_key: UUID
    phone: Personal | None = None
    language: Language
    roles: tuple[Role, ...] = Field(min_length=1)
    valid_until: Instant
    external_ids: tuple[ExternalId, ...] = ()
    invited_by: ActorId


class ContactActivated(Fact, type="prm.contact.ContactActivated.v1"):
    """The invitation was accepted: the contact may log on."""


class InvitationExpired(Fact, type="prm.contact.InvitationExpired.v1"):
    """The invitation was not accepted in time. `due_at`: the deadline that fired."""

    due_at: Instant


class RoleGranted(Fact, type="prm.contact.RoleGranted.v1"):
    role: Role
    granted_by: ActorId


class RoleRevoked(Fact, type="prm.contact.RoleRevoked.v1"):
    role: Role
    revoked_by: ActorId


class LimitSet(Fact, type="prm.contact.LimitSet.v1"):
    """Up to which amount a vendor contact decides alone; replaces the limit of kind, currency."""

    kind: LimitKind
    currency: Currency
    amount_minor: MinorUnits
    set_by: ActorId


class NotificationPreferencesSet(Fact, type="prm.contact.NotificationPreferencesSet.v1"):
    """What the contact wants to be told in, and not to be mailed; replaces what was set before.

    Everything still stands in the inbox.
    """

    language: Language
    muted: tuple[MutedMails, ...] = ()


class Unsubscription(Value):
    """What the link in an e-mail asks for, sealed between services: no fact, and on no topic.

    `language`: of the e-mail.
    """

    purpose: ClassVar[str] = "unsubscribe"
    contact_id: UUID
    group: MutedMails
    language: Language


class ContactDeactivated(Fact, type="prm.contact.ContactDeactivated.v1"):
    reason_code: Code
    deactivated_by: ActorId


class PartnerKeyReserved(Fact, type="prm.partner-reservation.KeyReserved.v1"):
    """One holder a key. The key itself stays in the aggregate's id; `scope`: tax-id, e-mail, ..."""

    scope: Code
    held_by: UUID


class PartnerKeyReleased(Fact, type="prm.partner-reservation.KeyReleased.v1"):
    scope: Code
    held_by: UUID


class PartnerAdminAppointed(Fact, type="prm.partner-reservation.AdminAppointed.v1"):
    """An active contact with the role partner-admin, of whom a partner never loses the last.

    The aggregate is the partner's one list of them, derived from the partner's id.
    """

    partner_id: UUID
    contact_id: UUID


class PartnerAdminDismissed(Fact, type="prm.partner-reservation.AdminDismissed.v1"):
    partner_id: UUID
    contact_id: UUID


PartnerFact = (
    PartnerRegistered
    | PartnerActivated
    | PartnerApplicationRejected
    | PartnerSuspended
    | PartnerReinstated
    | ChannelManagerAssigned
)
ContactFact = (
    ContactInvited
    | ContactActivated
    | InvitationExpired
    | RoleGranted
    | RoleRevoked
    | LimitSet
    | NotificationPreferencesSet
    | ContactDeactivated
)
PartnerKeyFact = PartnerKeyReserved | PartnerKeyReleased
PartnerAdminFact = PartnerAdminAppointed | PartnerAdminDismissed
PartnerReservationFact = PartnerKeyFact | PartnerAdminFact

PARTNERS = Topic[PartnerFact]("prm.partners", get_args(PartnerFact), "partner-svc")
CONTACTS = Topic[ContactFact]("prm.contacts", get_args(ContactFact), "partner-svc")
PARTNER_RESERVATIONS = Topic[PartnerReservationFact](
    "prm.partner-svc-reservations", get_args(PartnerReservationFact), "partner-svc"
)
