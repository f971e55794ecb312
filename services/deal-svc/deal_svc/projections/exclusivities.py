"""The waiting lines: one row a claim."""

import json
from typing import assert_never

from chassis.sql import Statement
from chassis.store import Recorded
from prm_contracts.deals import (
    ExclusivityClaimed,
    ExclusivityExpired,
    ExclusivityFact,
    ExclusivityGranted,
    ExclusivityReleased,
)


def exclusivity_line(recorded: Recorded[ExclusivityFact]) -> Statement:
    fact = recorded.fact
    at = recorded.occurred_at.isoformat()
    match fact:
        case ExclusivityClaimed():
            document = {
                "exclusivity_id": str(recorded.aggregate_id),
                "claim_version": recorded.version,
                **fact.model_dump(mode="json"),
                "status": "waiting",
                "claimed_at": at,
                "exclusive_until": None,
                "left_at": None,
                "left_by": None,
            }
            return Statement(
                "INSERT INTO exclusivity_line"
                " (exclusivity_id, deal_id, version, customer_id, sort_key, document)"
                " VALUES (%(exclusivity_id)s, %(deal_id)s, %(version)s, %(customer_id)s,"
                " %(sort_key)s, %(document)s::jsonb) ON CONFLICT DO NOTHING",
                {
                    "exclusivity_id": recorded.aggregate_id,
                    "deal_id": fact.deal_id,
                    "version": recorded.version,
                    "customer_id": fact.customer_id,
                    "sort_key": f"{recorded.aggregate_id} {recorded.version:010d}",
                    "document": json.dumps(document),
                },
            )
        case ExclusivityGranted():
            patch = {"status": "held", "exclusive_until": fact.exclusive_until.isoformat()}
        case ExclusivityReleased():
            patch = {"status": "left", "left_at": at, "left_by": fact.reason}
        case ExclusivityExpired():
            patch = {"status": "left", "left_at": at, "left_by": "expired"}
        case never:
            assert_never(never)
    return Statement(
        "UPDATE exclusivity_line SET version = %(version)s,"
        " document = document || %(patch)s::jsonb WHERE exclusivity_id = %(exclusivity_id)s"
        " AND deal_id = %(deal_id)s AND version < %(version)s",
        {
            "exclusivity_id": recorded.aggregate_id,
            "deal_id": fact.deal_id,
            "version": recorded.version,
            "patch": json.dumps(patch),
        },
    )
