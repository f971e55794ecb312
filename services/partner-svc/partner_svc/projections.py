"""A fact becomes one idempotent statement on a read model: one function a table."""

import json
from typing import Any, assert_never

from chassis.delivery import LIFTED, Pending
from chassis.sql import Statement
from chassis.store import Recorded
from prm_contracts.facts import Fact
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
from prm_contracts.values import Role


def partner_list(recorded: Recorded[PartnerFact]) -> Statement:
    patch: dict[str, Any]
    match recorded.fact:
        case PartnerRegistered() as partner:
            return _new_partner(recorded, partner)
        case PartnerActivated() as activated:
            patch = {"status": "active", "approved_by": str(activated.approved_by)}
            patch["terms_version"] = activated.terms_version
        case PartnerApplicationRejected():
            patch = {"status": "terminated"} | _reason(recorded.fact)
        case PartnerSuspended():
            patch = {"status": "suspended"} | _reason(recorded.fact)
        case PartnerReinstated():
            patch = {"status": "active", "reason_code": None} | _reason(recorded.fact)
        case ChannelManagerAssigned() as assigned:
            patch = {"channel_manager_id": str(assigned.contact_id)}
        case never:
            assert_never(never)
    return Statement(
        "UPDATE partner_list SET document = document || %(patch)s::jsonb, version = %(version)s"
        " WHERE partner_id = %(id)s AND version < %(version)s",
        _changed(recorded, patch),
    )


def _new_partner(recorded: Recorded[PartnerFact], partner: PartnerRegistered) -> Statement:
    document = _document(partner) | {
        "partner_id": str(recorded.aggregate_id),
        "status": "applied",
        "registered_at": recorded.occurred_at.isoformat(),
        "approved_by": None,
        "terms_version": None,
        "reason_code": None,
        "note": None,
        "channel_manager_id": None,
        "version": recorded.version,
    }
    return Statement(
        "INSERT INTO partner_list (partner_id, version, sort_key, document)"
        " VALUES (%(id)s, %(version)s, %(sort_key)s, %(document)s::jsonb) ON CONFLICT DO NOTHING",
        {
            "id": recorded.aggregate_id,
            "version": recorded.version,
            "sort_key": f"{partner.legal_name.casefold()} {recorded.aggregate_id}",
            "document": json.dumps(document),
        },
    )


def contact_list(recorded: Recorded[ContactFact]) -> Statement:
    match recorded.fact:
        case ContactInvited() as contact:
            return _new_contact(recorded, contact)
        case ContactActivated():
            return _patched_contact(recorded, {"status": "active"})
        case InvitationExpired():
            return _patched_contact(recorded, {"status": "expired"})
        case ContactDeactivated() as gone:
            patch = {"status": "deactivated", "reason_code": gone.reason_code}
            return _patched_contact(recorded, patch)
        case RoleGranted() as granted:
            return _set_roles(recorded, granted.role, held=[granted.role])
        case RoleRevoked() as revoked:
            return _set_roles(recorded, revoked.role, held=[])
        case NotificationPreferencesSet() as preferences:
            return _patched_contact(recorded, _document(preferences))
        case LimitSet() as limit:
            return _set_limit(recorded, limit)
        case never:
            assert_never(never)


def _new_contact(recorded: Recorded[ContactFact], contact: ContactInvited) -> Statement:
    document = _document(contact) | {
        "contact_id": str(recorded.aggregate_id),
        "status": "invited",
        "invited_at": recorded.occurred_at.isoformat(),
        "limits": [],
        "muted": [],
        "reason_code": None,
        "version": recorded.version,
    }
    del document["email_key"]
    return Statement(
        "INSERT INTO contact_list (contact_id, version, partner_id, sort_key, document)"
        " VALUES (%(id)s, %(version)s, %(partner_id)s, %(sort_key)s, %(document)s::jsonb)"
        " ON CONFLICT DO NOTHING",
        {
            "id": recorded.aggregate_id,
            "version": recorded.version,
            "partner_id": contact.partner_id,
            "sort_key": f"{recorded.occurred_at.isoformat(timespec='microseconds')}"
            f" {recorded.aggregate_id}",
            "document": json.dumps(document),
        },
    )


def _patched_contact(recorded: Recorded[ContactFact], patch: dict[str, Any]) -> Statement:
    return Statement(
        "UPDATE contact_list SET document = document || %(patch)s::jsonb, version = %(version)s"
        " WHERE contact_id = %(id)s AND version < %(version)s",
        _changed(recorded, patch),
    )


def _set_roles(recorded: Recorded[ContactFact], role: Role, held: list[Role]) -> Statement:
    """`held`: the role, or nothing, in the place of the role."""
    return Statement(
        "UPDATE contact_list SET version = %(version)s, document = document || %(patch)s::jsonb"
        " || jsonb_build_object('roles', (document -> 'roles') - %(role)s || %(held)s::jsonb)"
        " WHERE contact_id = %(id)s AND version < %(version)s",
        _changed(recorded, {}) | {"role": role, "held": json.dumps(held)},
    )


def _set_limit(recorded: Recorded[ContactFact], limit: LimitSet) -> Statement:
    """Replaces the limit of the same kind and currency."""
    new = {"kind": limit.kind, "currency": limit.currency, "amount_minor": limit.amount_minor}
    return Statement(
        "UPDATE contact_list SET version = %(version)s, document = document || %(patch)s::jsonb"
        " || jsonb_build_object('limits', ("
        " SELECT coalesce(jsonb_agg(l), '[]') FROM jsonb_array_elements(document -> 'limits') l"
        " WHERE (l ->> 'kind', l ->> 'currency') <> (%(kind)s, %(currency)s)) || %(new)s::jsonb)"
        " WHERE contact_id = %(id)s AND version < %(version)s",
        _changed(recorded, {}) | new | {"new": json.dumps([new])},
    )


def invitation_deadline(recorded: Recorded[ContactFact]) -> Pending | None:
    """Until when an invitation can be accepted."""
    match recorded.fact:
        case ContactInvited() as invited:
            return Pending(invited.valid_until)
        case ContactActivated() | InvitationExpired() | ContactDeactivated():
            return LIFTED
        case RoleGranted() | RoleRevoked() | LimitSet() | NotificationPreferencesSet():
            return None
        case never:
            assert_never(never)


def _document(fact: Fact) -> dict[str, Any]:
    return fact.model_dump(mode="json")


def _reason(
    fact: PartnerApplicationRejected | PartnerSuspended | PartnerReinstated,
) -> dict[str, Any]:
    return fact.model_dump(mode="json", include={"reason_code", "note"})


def _changed(recorded: Recorded[Any], patch: dict[str, Any]) -> dict[str, Any]:
    version = recorded.version
    return {
        "id": recorded.aggregate_id,
        "version": version,
        "patch": json.dumps(patch | {"version": version}),
    }
