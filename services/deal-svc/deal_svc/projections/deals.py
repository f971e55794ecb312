"""Deals as they are listed, and one in detail: for its partner, and for the vendor's people."""

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
from prm_contracts.territories import Conflict
from prm_contracts.values import Decision

# Whom a customer was resolved to, and whose it may be besides, tells of other partners' deals.
VENDORS_ONLY = {"customer_id", "band", "scorer_version", "similar"}


def deal_list(recorded: Recorded[DealFact]) -> Statement:
    fact = recorded.fact
    if isinstance(fact, DealRegistered):
        return _listed(recorded, fact)
    patch = progress(fact) | {"version": recorded.version}
    return Statement(
        "UPDATE deal_list SET version = %(version)s, document = document || %(patch)s::jsonb"
        " WHERE deal_id = %(deal_id)s AND version < %(version)s",
        _key(recorded) | {"patch": json.dumps(patch)},
    )


def _listed(recorded: Recorded[DealFact], deal: DealRegistered) -> Statement:
    document = {
        "deal_id": str(recorded.aggregate_id),
        "partner_id": str(deal.partner_id),
        "seller_id": str(deal.seller_id),
        "customer_name": deal.customer.name,
        "country": deal.customer.country,
        "families": [claim.family for claim in deal.claims],
        "amount_minor": deal.amount_minor,
        "currency": deal.currency,
        "expected_close_on": deal.expected_close_on.isoformat(),
        "registered_at": recorded.occurred_at.isoformat(),
        "status": "checking",
        "place": None,
        "exclusive_until": None,
        "version": recorded.version,
    }
    return Statement(
        "INSERT INTO deal_list (deal_id, version, partner_id, seller_id, registered_by,"
        " customer_id, sort_key, document) VALUES (%(deal_id)s, %(version)s,"
        " %(partner_id)s, %(seller_id)s, %(registered_by)s, %(customer_id)s,"
        " %(sort_key)s, %(document)s::jsonb) ON CONFLICT DO NOTHING",
        _key(recorded)
        | _owner(deal)
        | {
            "customer_id": deal.customer.customer_id,
            "sort_key": newest_first(recorded.position),
            "document": json.dumps(document),
        },
    )


def deal_detail(recorded: Recorded[DealFact]) -> Statement:
    fact = recorded.fact
    if isinstance(fact, DealRegistered):
        return _detailed(recorded, fact)
    patch = progress(fact) | partners_detail(fact) | {"version": recorded.version}
    return Statement(
        "UPDATE deal_detail SET version = %(version)s, document = document || %(patch)s::jsonb,"
        " vendor_part = vendor_part || %(vendor_patch)s::jsonb"
        " WHERE deal_id = %(deal_id)s AND version < %(version)s",
        _key(recorded)
        | {"patch": json.dumps(patch), "vendor_patch": json.dumps(vendors_detail(fact))},
    )


def _detailed(recorded: Recorded[DealFact], deal: DealRegistered) -> Statement:
    registered = deal.model_dump(mode="json", exclude={"claims", "based_on"})
    vendors = {name: registered["customer"].pop(name) for name in sorted(VENDORS_ONLY)}
    document = {
        "deal_id": str(recorded.aggregate_id),
        **registered,
        "families": [claim.family for claim in deal.claims],
        "site": deal.claims[0].site,
        "registered_at": recorded.occurred_at.isoformat(),
        "status": "checking",
        "place": None,
        "conflicts": [],
        "decision": None,
        "note": None,
        "exclusive_from": None,
        "exclusive_until": None,
        "discount_bp": None,
        "is_unchecked": False,
        "subject_version": 1,
        "version": recorded.version,
    }
    vendor_part = {
        "resolved": vendors,
        "claims": [claim.model_dump(mode="json") for claim in deal.claims],
        "step": None,
    }
    return Statement(
        "INSERT INTO deal_detail (deal_id, version, partner_id, seller_id, registered_by,"
        " document, vendor_part) VALUES (%(deal_id)s, %(version)s, %(partner_id)s,"
        " %(seller_id)s, %(registered_by)s, %(document)s::jsonb, %(vendor_part)s::jsonb)"
        " ON CONFLICT DO NOTHING",
        _key(recorded)
        | _owner(deal)
        | {"document": json.dumps(document), "vendor_part": json.dumps(vendor_part)},
    )


Progress = (
    ConflictCheckRequested
    | DealCleared
    | DealConflictsFound
    | DealQueued
    | DealPromoted
    | DealApprovalStepOpened
    | DealApprovalStepDecided
    | DealApproved
    | DealRejected
    | DealWithdrawn
    | DealExpired
)


def progress(fact: Progress) -> dict[str, Any]:
    """How far the deal has come: what lists and details both show."""
    match fact:
        case ConflictCheckRequested() | DealApprovalStepOpened() | DealApprovalStepDecided():
            return {}
        case DealCleared() | DealConflictsFound():
            return {"status": "in_review", "place": None}
        case DealQueued():
            return {"status": "queued", "place": fact.place}
        case DealPromoted():
            return {"status": "checking", "place": None}
        case DealApproved():
            until = fact.exclusive_until.model_dump(mode="json")
            return {"status": "approved", "exclusive_until": until}
        case DealRejected():
            return {"status": "rejected", "place": None}
        case DealWithdrawn():
            return {"status": "withdrawn", "place": None}
        case DealExpired():
            return {"status": "expired"}
        case _:
            assert_never(fact)


def partners_detail(fact: Progress) -> dict[str, Any]:
    """Of conflicts only kind, rule and order; of decisions not who, but why."""
    match fact:
        case DealCleared() | DealConflictsFound():
            return {
                "conflicts": [_redacted(conflict) for conflict in fact.conflicts],
                "subject_version": fact.subject_version,
                "alignment_version": fact.alignment_version,
            }
        case DealApproved():
            return {
                "decision": _redacted_decision(fact.decision),
                "exclusive_from": fact.exclusive_from.isoformat(),
                "discount_bp": fact.discount_bp,
                "is_unchecked": fact.is_unchecked,
            }
        case DealRejected():
            note = fact.note and fact.note.model_dump(mode="json")
            return {"decision": _redacted_decision(fact.decision), "note": note}
        case DealWithdrawn():
            return {"note": fact.note and fact.note.model_dump(mode="json")}
        case ConflictCheckRequested() | DealPromoted():
            return {"subject_version": fact.subject_version}
        case DealQueued() | DealApprovalStepOpened() | DealApprovalStepDecided() | DealExpired():
            return {}
        case _:
            assert_never(fact)


def vendors_detail(fact: Progress) -> dict[str, Any]:
    """What is laid over the partner's document for the vendor: evidence, persons, steps."""
    match fact:
        case DealCleared() | DealConflictsFound():
            return {
                "conflicts": [conflict.model_dump(mode="json") for conflict in fact.conflicts],
                "check_id": str(fact.check_id),
                "verdict": fact.decision.model_dump(mode="json"),
            }
        case DealApprovalStepOpened():
            return {"step": fact.model_dump(mode="json") | {"outcome": None}}
        case DealApprovalStepDecided():
            return {"step": fact.model_dump(mode="json")}
        case DealApproved() | DealRejected():
            return {"decision": fact.decision.model_dump(mode="json")}
        case (
            ConflictCheckRequested()
            | DealQueued()
            | DealPromoted()
            | DealWithdrawn()
            | DealExpired()
        ):
            return {}
        case _:
            assert_never(fact)


def newest_first(position: int) -> str:
    """A text that sorts before that of every lower position."""
    return f"{2**63 - position:019d}"


def _key(recorded: Recorded[DealFact]) -> dict[str, Any]:
    return {"deal_id": recorded.aggregate_id, "version": recorded.version}


def _owner(deal: DealRegistered) -> dict[str, Any]:
    return {
        "partner_id": deal.partner_id,
        "seller_id": deal.seller_id,
        "registered_by": deal.registered_by,
    }


def _redacted(conflict: Conflict) -> dict[str, Any]:
    return conflict.model_dump(mode="json", include={"kind", "resolution", "rule_id"})


def _redacted_decision(decision: Decision) -> dict[str, Any]:
    return decision.model_dump(mode="json", exclude={"decided_by", "input_hash"})
