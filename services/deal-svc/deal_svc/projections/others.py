"""What other services' facts say that decisions of deal-svc rest on."""

from typing import assert_never

from chassis.sql import Statement
from chassis.store import Recorded
from prm_contracts.partners import (
    ChannelManagerAssigned,
    ContactActivated,
    ContactDeactivated,
    ContactFact,
    ContactInvited,
    InvitationExpired,
    LimitSet,
    NotificationPreferencesSet,
    PartnerActivated,
    PartnerApplicationRejected,
    PartnerFact,
    PartnerRegistered,
    PartnerReinstated,
    PartnerSuspended,
    RoleGranted,
    RoleRevoked,
)
from prm_contracts.territories import (
    AlignmentActivated,
    AlignmentApproved,
    AlignmentBecameStale,
    AlignmentDrafted,
    AlignmentFact,
    AlignmentValidated,
    OpenSubjectsRechecked,
    TerritoryChangedInAlignment,
)


def partners(recorded: Recorded[PartnerFact]) -> Statement:
    """Each fact moves the version: decisions record which one they knew."""
    key = {"partner_id": recorded.aggregate_id, "version": recorded.version}
    status, terms_version = None, None
    match recorded.fact:
        case PartnerRegistered() as partner:
            return Statement(
                "INSERT INTO partners (partner_id, version, status, time_zone)"
                " VALUES (%(partner_id)s, %(version)s, 'applied', %(time_zone)s)"
                " ON CONFLICT DO NOTHING",
                key | {"time_zone": partner.time_zone},
            )
        case PartnerActivated() as activated:
            status, terms_version = "active", activated.terms_version
        case PartnerReinstated():
            status = "active"
        case PartnerSuspended():
            status = "suspended"
        case PartnerApplicationRejected():
            status = "rejected"
        case ChannelManagerAssigned():
            pass
        case never:
            assert_never(never)
    return Statement(
        "UPDATE partners SET version = %(version)s, status = coalesce(%(status)s, status),"
        " terms_version = coalesce(%(terms_version)s, terms_version)"
        " WHERE partner_id = %(partner_id)s AND version < %(version)s",
        key | {"status": status, "terms_version": terms_version},
    )


def approval_limits(recorded: Recorded[ContactFact]) -> Statement | None:
    """Up to which amount a contact approves deals, by currency."""
    match recorded.fact:
        case LimitSet() as limit:
            return Statement(
                "INSERT INTO approval_limits (contact_id, currency, version, amount_minor)"
                " VALUES (%(contact_id)s, %(currency)s, %(version)s, %(amount_minor)s)"
                " ON CONFLICT (contact_id, currency) DO UPDATE"
                " SET version = excluded.version, amount_minor = excluded.amount_minor"
                " WHERE approval_limits.version < excluded.version",
                {
                    "contact_id": recorded.aggregate_id,
                    "currency": limit.currency,
                    "version": recorded.version,
                    "amount_minor": limit.amount_minor,
                },
            )
        case ContactDeactivated():
            return Statement(
                "DELETE FROM approval_limits"
                " WHERE contact_id = %(contact_id)s AND version < %(version)s",
                {"contact_id": recorded.aggregate_id, "version": recorded.version},
            )
        case (
            ContactInvited()
            | ContactActivated()
            | InvitationExpired()
            | RoleGranted()
            | RoleRevoked()
            | NotificationPreferencesSet()
        ):
            return None
        case never:
            assert_never(never)


def people(recorded: Recorded[ContactFact]) -> Statement | None:
    """Partners' people, and whether they take part."""
    key = {"contact_id": recorded.aggregate_id, "version": recorded.version}
    match recorded.fact:
        case ContactInvited() as contact:
            if contact.partner_id is None:
                return None
            return Statement(
                "INSERT INTO people (contact_id, version, partner_id, is_active)"
                " VALUES (%(contact_id)s, %(version)s, %(partner_id)s, false)"
                " ON CONFLICT DO NOTHING",
                key | {"partner_id": contact.partner_id},
            )
        case ContactActivated() | ContactDeactivated() | InvitationExpired():
            return Statement(
                "UPDATE people SET version = %(version)s, is_active = %(is_active)s"
                " WHERE contact_id = %(contact_id)s AND version < %(version)s",
                key | {"is_active": isinstance(recorded.fact, ContactActivated)},
            )
        case RoleGranted() | RoleRevoked() | LimitSet() | NotificationPreferencesSet():
            return None
        case never:
            assert_never(never)


def alignments(recorded: Recorded[AlignmentFact]) -> Statement | None:
    """Which maps were switched to; the newest is the highest version."""
    match recorded.fact:
        case AlignmentActivated() as activated:
            return Statement(
                "INSERT INTO alignments (alignment_id, version, alignment_version)"
                " VALUES (%(alignment_id)s, %(version)s, %(alignment_version)s)"
                " ON CONFLICT DO NOTHING",
                {
                    "alignment_id": recorded.aggregate_id,
                    "version": recorded.version,
                    "alignment_version": activated.alignment_version,
                },
            )
        case (
            AlignmentDrafted()
            | TerritoryChangedInAlignment()
            | AlignmentValidated()
            | AlignmentApproved()
            | AlignmentBecameStale()
            | OpenSubjectsRechecked()
        ):
            return None
        case never:
            assert_never(never)
