"""A fact becomes one idempotent statement on a read model: one function a table."""

import json
from typing import assert_never

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
from prm_contracts.partners import (
    ChannelManagerAssigned,
    PartnerActivated,
    PartnerApplicationRejected,
    PartnerFact,
    PartnerRegistered,
    PartnerReinstated,
    PartnerSuspended,
)
from prm_contracts.territories import (
    AlignmentActivated,
    AlignmentApproved,
    AlignmentBecameStale,
    AlignmentDrafted,
    AlignmentFact,
    AlignmentValidated,
    OpenSubjectsRechecked,
    TerritoryActivated,
    TerritoryChangedInAlignment,
    TerritoryConflictChecked,
    TerritoryFact,
    TerritoryRetired,
)


def territory_list(recorded: Recorded[TerritoryFact]) -> Statement:
    fact, territory_id, version = recorded.fact, recorded.aggregate_id, recorded.version
    document = {
        "territory_id": str(territory_id),
        "status": "active" if isinstance(fact, TerritoryActivated) else "retired",
        "alignment_id": str(fact.alignment_id),
        "alignment_version": fact.alignment_version,
        "effective_at": fact.effective_at.isoformat(),
        "version": version,
    }
    match fact:
        case TerritoryActivated():
            territory = fact.definition
            return Statement(
                "INSERT INTO territory_list"
                " (territory_id, version, status, partner_ids, countries, sort_key, document)"
                " VALUES (%(id)s, %(version)s, 'active', %(partner_ids)s, %(countries)s,"
                " %(sort_key)s, %(document)s::jsonb)"
                " ON CONFLICT (territory_id) DO UPDATE SET version = excluded.version,"
                " status = excluded.status, partner_ids = excluded.partner_ids,"
                " countries = excluded.countries, sort_key = excluded.sort_key,"
                " document = excluded.document WHERE territory_list.version < excluded.version",
                {
                    "id": territory_id,
                    "version": version,
                    "partner_ids": [each.partner_id for each in territory.assignments],
                    "countries": sorted({code[:2] for code in territory.rule.geographies}),
                    "sort_key": f"{territory.code} {territory_id}",
                    "document": json.dumps(territory.model_dump(mode="json") | document),
                },
            )
        case TerritoryRetired():
            return Statement(
                "UPDATE territory_list SET version = %(version)s, status = 'retired',"
                " document = document || %(patch)s::jsonb"
                " WHERE territory_id = %(id)s AND version < %(version)s",
                {"id": territory_id, "version": version, "patch": json.dumps(document)},
            )
        case never:
            assert_never(never)


def alignment_list(recorded: Recorded[AlignmentFact]) -> Statement:
    fact, version = recorded.fact, recorded.version
    at = recorded.occurred_at.isoformat()
    patch: dict[str, object] = {"version": version}
    match fact:
        case AlignmentDrafted():
            return _drafted(recorded, fact)
        case TerritoryChangedInAlignment():
            patch |= {"status": "draft"}
        case AlignmentValidated():
            report = fact.model_dump(mode="json")
            patch |= {
                "status": "draft" if fact.found else "validated",
                "overlaps": report["overlaps"],
                "overlaps_found": fact.found,
                "unassigned": report["unassigned"],
            }
        case AlignmentApproved():
            patch |= {"status": "approved", "approved_by": str(fact.approved_by), "approved_at": at}
        case AlignmentActivated():
            patch |= {
                "status": "activated",
                "activated_by": str(fact.activated_by),
                "effective_at": fact.effective_at.isoformat(),
                "alignment_version": fact.alignment_version,
                "territories_changed": fact.changed,
            }
        case AlignmentBecameStale():
            patch |= {"status": "stale"}
        case OpenSubjectsRechecked():
            patch |= {"is_rechecked": fact.last_subject is None}
        case never:
            assert_never(never)
    return Statement(
        "UPDATE alignment_list SET version = %(version)s, document = document || %(patch)s::jsonb,"
        " status = COALESCE(%(status)s, status)"
        " WHERE alignment_id = %(id)s AND version < %(version)s",
        {
            "id": recorded.aggregate_id,
            "version": version,
            "status": patch.get("status"),
            "patch": json.dumps(patch),
        },
    )


def _drafted(recorded: Recorded[AlignmentFact], drafted: AlignmentDrafted) -> Statement:
    document = drafted.model_dump(mode="json") | {
        "alignment_id": str(recorded.aggregate_id),
        "status": "draft",
        "drafted_at": recorded.occurred_at.isoformat(),
        "overlaps": [],
        "overlaps_found": 0,
        "unassigned": [],
        "is_rechecked": False,
        "version": recorded.version,
    }
    return Statement(
        "INSERT INTO alignment_list (alignment_id, version, status, sort_key, document)"
        " VALUES (%(id)s, %(version)s, 'draft', %(sort_key)s, %(document)s::jsonb)"
        " ON CONFLICT DO NOTHING",
        {
            "id": recorded.aggregate_id,
            "version": recorded.version,
            "sort_key": newest_first(recorded.position),
            "document": json.dumps(document),
        },
    )


def alignment_changes(recorded: Recorded[AlignmentFact]) -> Statement | None:
    """One row a territory, since an alignment may touch hundreds."""
    change = recorded.fact
    if not isinstance(change, TerritoryChangedInAlignment):
        return None
    return Statement(
        "INSERT INTO alignment_changes (alignment_id, territory_id, version, document)"
        " VALUES (%(id)s, %(territory_id)s, %(version)s, %(document)s::jsonb)"
        " ON CONFLICT (alignment_id, territory_id) DO UPDATE"
        " SET version = excluded.version, document = excluded.document"
        " WHERE alignment_changes.version < excluded.version",
        {
            "id": recorded.aggregate_id,
            "territory_id": change.territory_id,
            "version": recorded.version,
            "document": change.model_dump_json(include={"territory_id", "definition"}),
        },
    )


def conflict_check_list(recorded: Recorded[TerritoryConflictChecked]) -> Statement:
    """Each answer, by the map that gave it; the partner sees neither evidence nor territories."""
    check = recorded.fact
    document = check.model_dump(mode="json", exclude={"dimensions", "based_on"}) | {
        "check_id": str(recorded.aggregate_id),
        "checked_at": recorded.occurred_at.isoformat(),
        "version": recorded.version,
    }
    told = [conflict | {"evidence": {}} for conflict in document["conflicts"]]
    return Statement(
        "INSERT INTO conflict_check_list"
        " (check_id, version, subject, partner_id, sort_key, document, partner_document)"
        " VALUES (%(id)s, %(version)s, %(subject)s, %(partner_id)s, %(sort_key)s,"
        " %(document)s::jsonb, %(partner_document)s::jsonb) ON CONFLICT DO NOTHING",
        {
            "id": recorded.aggregate_id,
            "version": recorded.version,
            "subject": check.subject,
            "partner_id": check.dimensions.partner_id,
            "sort_key": newest_first(recorded.position),
            "document": json.dumps(document),
            "partner_document": json.dumps(document | {"conflicts": told, "territories": []}),
        },
    )


def partners(recorded: Recorded[PartnerFact]) -> Statement | None:
    """Who can be assigned to a territory."""
    match recorded.fact:
        case PartnerRegistered() as partner:
            return Statement(
                "INSERT INTO partners (partner_id, version, legal_name, status)"
                " VALUES (%(id)s, %(version)s, %(legal_name)s, 'applied') ON CONFLICT DO NOTHING",
                {
                    "id": recorded.aggregate_id,
                    "version": recorded.version,
                    "legal_name": partner.legal_name,
                },
            )
        case PartnerActivated() | PartnerReinstated():
            status = "active"
        case PartnerSuspended():
            status = "suspended"
        case PartnerApplicationRejected():
            status = "rejected"
        case ChannelManagerAssigned():
            return None
        case never:
            assert_never(never)
    return Statement(
        "UPDATE partners SET status = %(status)s, version = %(version)s"
        " WHERE partner_id = %(id)s AND version < %(version)s",
        {"id": recorded.aggregate_id, "status": status, "version": recorded.version},
    )


def open_deals(recorded: Recorded[DealFact]) -> Statement | None:
    """Which deals are undecided, and so checked again when the map switches."""
    match recorded.fact:
        case DealRegistered() | DealPromoted() | ConflictCheckRequested():
            is_open = True
        case DealApproved() | DealRejected() | DealWithdrawn() | DealExpired():
            is_open = False
        case (
            DealCleared()
            | DealConflictsFound()
            | DealQueued()
            | DealApprovalStepOpened()
            | DealApprovalStepDecided()
        ):
            return None
        case never:
            assert_never(never)
    return Statement(
        "INSERT INTO open_deals (deal_id, version, is_open)"
        " VALUES (%(id)s, %(version)s, %(is_open)s)"
        " ON CONFLICT (deal_id) DO UPDATE"
        " SET version = excluded.version, is_open = excluded.is_open"
        " WHERE open_deals.version < excluded.version",
        {"id": recorded.aggregate_id, "version": recorded.version, "is_open": is_open},
    )


def newest_first(position: int) -> str:
    """A text that sorts before that of every lower position."""
    return f"{2**63 - position:019d}"
