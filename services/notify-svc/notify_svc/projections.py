"""A fact becomes one idempotent statement on a read model: one function a table."""

import json
from typing import Any, assert_never

from chassis.sql import Statement
from chassis.store import Recorded
from prm_contracts.deals import (
    ConflictCheckRequested,
    DealApprovalStepDecided,
    DealApprovalStepOpened,
    DealApproved,
    DealCleared,
    DealConflictsFound,
    DealExpired,
    DealFact,
    DealPromoted,
    DealQueued,
    DealRegistered,
    DealRejected,
    DealWithdrawn,
)
from prm_contracts.notifications import (
    NotificationFact,
    NotificationFailed,
    NotificationMailRetried,
    NotificationQueued,
    NotificationRead,
    NotificationSent,
    NotificationSuppressed,
)
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

# What the inbox says, by template; parameters in braces.
TEXTS = {
    "welcome": "Welcome: your account is active.",
    "partner-activated": "Your company is an active partner now.",
    "partner-suspended": "Your company's partnership is suspended: {reason}.",
    "partner-reinstated": "Your company's partnership is reinstated.",
    "partner-assigned": "You are the channel manager of another partner.",
    "deal-registered": "Your deal with {customer} is registered and being checked.",
    "deal-decision-due": "A deal with {customer} waits for your decision.",
    "deal-queued": "Your deal with {customer} waits in line, at place {place}.",
    "deal-promoted": "Your deal with {customer} moved to the head of its line.",
    "deal-approved": "Your deal with {customer} is approved, exclusive until {exclusive_until}.",
    "deal-rejected": "Your deal with {customer} is rejected: {reason}.",
    "deal-expired": "The exclusivity of your deal with {customer} has expired.",
    "partner-deal-expired": "The exclusivity of a deal with {customer} has expired.",
    "partner-deal-withdrawn": "The deal with {customer} was withdrawn by the partner.",
}


def contacts(recorded: Recorded[ContactFact]) -> Statement | None:
    """Whom a notification can be addressed to, where and how."""
    contact_id, version = recorded.aggregate_id, recorded.version
    match recorded.fact:
        case ContactInvited() as contact:
            return Statement(
                "INSERT INTO contacts (contact_id, version, side, partner_id, roles, is_active,"
                " language, name, email)"
                " VALUES (%(id)s, %(version)s, %(side)s, %(partner_id)s, %(roles)s::jsonb, false,"
                " %(language)s, %(name)s::jsonb, %(email)s::jsonb) ON CONFLICT DO NOTHING",
                {
                    "id": contact_id,
                    "version": version,
                    "side": contact.side,
                    "partner_id": contact.partner_id,
                    "roles": json.dumps(contact.roles),
                    "language": contact.language,
                    "name": contact.name.model_dump_json(),
                    "email": contact.email.model_dump_json(),
                },
            )
        case ContactActivated():
            return Statement(
                "UPDATE contacts SET is_active = true, version = %(version)s"
                " WHERE contact_id = %(id)s AND version < %(version)s",
                {"id": contact_id, "version": version},
            )
        case InvitationExpired() | ContactDeactivated():
            return Statement(
                "UPDATE contacts SET is_active = false, version = %(version)s"
                " WHERE contact_id = %(id)s AND version < %(version)s",
                {"id": contact_id, "version": version},
            )
        case RoleGranted() as granted:
            return Statement(
                "UPDATE contacts SET roles = (roles - %(role)s) || to_jsonb(%(role)s::text),"
                " version = %(version)s WHERE contact_id = %(id)s AND version < %(version)s",
                {"id": contact_id, "version": version, "role": granted.role},
            )
        case RoleRevoked() as revoked:
            return Statement(
                "UPDATE contacts SET roles = roles - %(role)s, version = %(version)s"
                " WHERE contact_id = %(id)s AND version < %(version)s",
                {"id": contact_id, "version": version, "role": revoked.role},
            )
        case NotificationPreferencesSet() as preferences:
            return Statement(
                "UPDATE contacts SET language = %(language)s, muted = %(muted)s::jsonb,"
                " version = %(version)s WHERE contact_id = %(id)s AND version < %(version)s",
                {
                    "id": contact_id,
                    "version": version,
                    "language": preferences.language,
                    "muted": json.dumps(preferences.muted),
                },
            )
        case LimitSet():
            return None
        case never:
            assert_never(never)


def partners(recorded: Recorded[PartnerFact]) -> Statement | None:
    """Who of the vendor is in charge of a partner, and what time it is there."""
    match recorded.fact:
        case PartnerRegistered() as partner:
            return Statement(
                "INSERT INTO partners (partner_id, version, time_zone)"
                " VALUES (%(id)s, %(version)s, %(time_zone)s) ON CONFLICT DO NOTHING",
                {
                    "id": recorded.aggregate_id,
                    "version": recorded.version,
                    "time_zone": partner.time_zone,
                },
            )
        case ChannelManagerAssigned() as assigned:
            return Statement(
                "INSERT INTO partners (partner_id, version, channel_manager_id)"
                " VALUES (%(id)s, %(version)s, %(manager)s)"
                " ON CONFLICT (partner_id) DO UPDATE"
                " SET version = excluded.version, channel_manager_id = excluded.channel_manager_id"
                " WHERE partners.version < excluded.version",
                {
                    "id": recorded.aggregate_id,
                    "version": recorded.version,
                    "manager": assigned.contact_id,
                },
            )
        case (
            PartnerActivated()
            | PartnerApplicationRejected()
            | PartnerSuspended()
            | PartnerReinstated()
        ):
            return None
        case never:
            assert_never(never)


def deals(recorded: Recorded[DealFact]) -> Statement | None:
    """Whose deal it is, and what it is called in a message."""
    match recorded.fact:
        case DealRegistered() as deal:
            return Statement(
                "INSERT INTO deals (deal_id, partner_id, seller_id, customer)"
                " VALUES (%(id)s, %(partner_id)s, %(seller_id)s, %(customer)s)"
                " ON CONFLICT DO NOTHING",
                {
                    "id": recorded.aggregate_id,
                    "partner_id": deal.partner_id,
                    "seller_id": deal.seller_id,
                    "customer": deal.customer.name,
                },
            )
        case (
            ConflictCheckRequested()
            | DealCleared()
            | DealConflictsFound()
            | DealQueued()
            | DealPromoted()
            | DealApprovalStepOpened()
            | DealApprovalStepDecided()
            | DealApproved()
            | DealRejected()
            | DealWithdrawn()
            | DealExpired()
        ):
            return None
        case never:
            assert_never(never)


def notification_inbox(recorded: Recorded[NotificationFact]) -> Statement:
    notification_id, version = recorded.aggregate_id, recorded.version
    match recorded.fact:
        case NotificationQueued() as queued:
            document = {
                "notification_id": str(notification_id),
                "template": queued.template,
                "params": queued.params,
                "text": TEXTS[queued.template].format(**queued.params),
                "cause": queued.cause.model_dump(mode="json"),
                "queued_at": recorded.occurred_at.isoformat(),
                "read_at": None,
                "mail": "queued",
                "mail_reason": None,
                "version": version,
            }
            return Statement(
                "INSERT INTO notification_inbox"
                " (notification_id, version, recipient_id, sort_key, is_read, document)"
                " VALUES (%(id)s, %(version)s, %(recipient_id)s, %(sort_key)s, false,"
                " %(document)s::jsonb)"
                " ON CONFLICT DO NOTHING",
                {
                    "id": notification_id,
                    "version": version,
                    "recipient_id": queued.recipient_id,
                    "sort_key": newest_first(recorded.position),
                    "document": json.dumps(document),
                },
            )
        case NotificationRead():
            return _patched(recorded, read_at=recorded.occurred_at.isoformat())
        case NotificationSent():
            return _patched(recorded, mail="sent")
        case NotificationFailed() as failed:
            failure = failed.model_dump(mode="json") | {
                "failed_at": recorded.occurred_at.isoformat()
            }
            patch = {"mail": "failed", "mail_reason": failed.reason_code, "failure": failure}
            return _patched(recorded, **patch)
        case NotificationMailRetried():
            return _patched(recorded, mail="queued", mail_reason=None, failure=None)
        case NotificationSuppressed() as suppressed:
            return _patched(recorded, mail="suppressed", mail_reason=suppressed.reason_code)
        case never:
            assert_never(never)


def _patched(recorded: Recorded[NotificationFact], **patch: Any) -> Statement:
    return Statement(
        "UPDATE notification_inbox SET is_read = is_read OR %(patch)s::jsonb ? 'read_at',"
        " version = %(version)s, document = document || %(patch)s::jsonb"
        " WHERE notification_id = %(id)s AND version < %(version)s",
        {
            "id": recorded.aggregate_id,
            "version": recorded.version,
            "patch": json.dumps(patch | {"version": recorded.version}),
        },
    )


def mail_errand(recorded: Recorded[NotificationFact]) -> bool | None:
    """Each notification is to be mailed, until it is known what became of that."""
    match recorded.fact:
        case NotificationQueued() | NotificationMailRetried():
            return True
        case NotificationSent() | NotificationFailed() | NotificationSuppressed():
            return False
        case NotificationRead():
            return None
        case never:
            assert_never(never)


def newest_first(position: int) -> str:
    """A text that sorts before that of every lower position."""
    return f"{2**63 - position:019d}"
