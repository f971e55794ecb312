"""What other services' facts say that decisions of deal-svc rest on."""

from chassis.sql import Statement
from chassis.store import Recorded
from prm_contracts.partners import (
    ContactDeactivated,
    ContactFact,
    LimitSet,
    PartnerActivated,
    PartnerApplicationRejected,
    PartnerFact,
    PartnerRegistered,
    PartnerReinstated,
    PartnerSuspended,
)
from prm_contracts.territories import AlignmentActivated, AlignmentFact


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
        case _:  # whatever else happens to a partner, its status stays
            pass
    return Statement(
        "UPDATE partners SET version = %(version)s, status = coalesce(%(status)s, status),"
        " terms_version = coalesce(%(terms_version)s, terms_version)"
        " WHERE partner_id = %(partner_id)s AND version < %(version)s",
        key | {"status": status, "terms_version": terms_version},
    )


def approval_limits(recorded: Recorded[ContactFact]) -> Statement | None:
    """Up to which amount a contact approves deals, by currency."""
    match recorded.fact:
        case LimitSet(kind="deal-approval") as limit:
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
        case _:  # names, roles and invitations do not change a limit
            return None


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
        case _:  # a draft is no map
            return None
