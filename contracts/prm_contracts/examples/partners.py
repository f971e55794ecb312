"""An example of each fact of partner-svc."""

from prm_contracts.examples.cast import (
    ALPHA,
    BOREALIS,
    DECIDED_AT,
    MANAGER,
    OPERATIONS,
    SELLER,
    named,
    sealed,
)
from prm_contracts.facts import Fact
from prm_contracts.partners import (
    ChannelManagerAssigned,
    ContactActivated,
    ContactDeactivated,
    ContactInvited,
    InvitationExpired,
    LimitSet,
    NotificationPreferencesSet,
    PartnerActivated,
    PartnerAdminAppointed,
    PartnerAdminDismissed,
    PartnerApplicationRejected,
    PartnerKeyReleased,
    PartnerKeyReserved,
    PartnerRegistered,
    PartnerReinstated,
    PartnerSuspended,
    RoleGranted,
    RoleRevoked,
    SimilarPartner,
)
from prm_contracts.values import ExternalId

PARTNERS: tuple[Fact, ...] = (
    PartnerRegistered(
        legal_name="Alpha Systemhaus GmbH",
        trading_names=("Alpha",),
        country="DE",
        subdivision="DE-BY",
        types=("reseller",),
        currency="EUR",
        time_zone="Europe/Berlin",
        domains=("alpha-systemhaus.example",),
        tax_id="DE811907980",
        duns="315369934",
        external_ids=(ExternalId(system="crm", id="A-10021"),),
        similar_to=(SimilarPartner(partner_id=BOREALIS, points=812),),
        registered_by=MANAGER,
    ),
    PartnerActivated(approved_by=OPERATIONS, terms_version="2027-1"),
    PartnerApplicationRejected(
        rejected_by=OPERATIONS, reason_code="incomplete", note=sealed(ALPHA)
    ),
    PartnerSuspended(suspended_by=OPERATIONS, reason_code="unpaid-fees", note=sealed(ALPHA)),
    PartnerReinstated(reinstated_by=OPERATIONS),
    ChannelManagerAssigned(contact_id=MANAGER, assigned_by=OPERATIONS),
)
CONTACTS: tuple[Fact, ...] = (
    ContactInvited(
        side="partner",
        partner_id=ALPHA,
        name=sealed(SELLER),
        email=sealed(SELLER),
        email_key=named("e-mail of the seller"),
        phone=sealed(SELLER),
        language="de",
        roles=("partner-seller",),
        valid_until=DECIDED_AT,
        invited_by=MANAGER,
    ),
    ContactActivated(),
    InvitationExpired(due_at=DECIDED_AT),
    RoleGranted(role="partner-admin", granted_by=MANAGER),
    RoleRevoked(role="partner-admin", revoked_by=MANAGER),
    LimitSet(kind="deal-approval", currency="EUR", amount_minor=25_000_000, set_by=OPERATIONS),
    NotificationPreferencesSet(language="de-AT", muted=("deals",)),
    ContactDeactivated(reason_code="left-company", deactivated_by=MANAGER),
)
PARTNER_RESERVATIONS: tuple[Fact, ...] = (
    PartnerKeyReserved(scope="tax-id", held_by=ALPHA),
    PartnerKeyReleased(scope="tax-id", held_by=ALPHA),
    PartnerAdminAppointed(partner_id=ALPHA, contact_id=SELLER),
    PartnerAdminDismissed(partner_id=ALPHA, contact_id=SELLER),
)
