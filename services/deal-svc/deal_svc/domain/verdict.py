"""The conflict verdict: what both services found, the hardest of it, and what it rested on."""

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal, get_args
from uuid import UUID

from prm_contracts.customers import CustomerLike
from prm_contracts.deals import RejectionReason
from prm_contracts.territories import Conflict, ConflictKind, Resolution, TerritoryConflictChecked
from prm_contracts.values import Code, Decision

# From the hardest to the softest, as the contract lists them.
HARDNESS: tuple[Resolution, ...] = get_args(Resolution)
NOTHING_ABOVE: Resolution = "flag"
PartnerStatus = Literal["applied", "rejected", "active", "suspended"]

REASONS: dict[ConflictKind, RejectionReason] = {
    "OUTSIDE_TERRITORY": "territory",
    "EXCLUSIVE_OTHER": "territory",
    "NAMED_ACCOUNT_OTHER": "territory",
    "SHARED_OVERLAP": "territory",
    "UNASSIGNED_CELL": "territory",
    "PENDING_ALIGNMENT": "territory",
    "DUPLICATE_DEAL": "duplicate",
    "POSSIBLE_DUPLICATE": "duplicate",
    "DIRECT_PIPELINE": "direct-pipeline",
    "PARTNER_INELIGIBLE": "partner-ineligible",
}


@dataclass(frozen=True)
class Seen:
    """What a verdict rests on.

    `place`: the worst over the deal's lines. `rivals`: like customers for whom another partner
    claimed the same family and country earlier. `newest_alignment`: that deal-svc knows of.
    """

    check_id: UUID
    check: TerritoryConflictChecked
    place: int
    rivals: tuple[CustomerLike, ...]
    partner_status: PartnerStatus
    newest_alignment: int


def findings(seen: Seen) -> tuple[Conflict, ...]:
    """The conflicts of both services, the hardest first."""
    found = list(seen.check.conflicts)
    if seen.place > 1:
        place: dict[str, str | int] = {"place": seen.place}
        found.append(_conflict("DUPLICATE_DEAL", "queue", "first-claimed-first-served", place))
    if seen.rivals:
        best = seen.rivals[0]
        found.append(
            _conflict(
                "POSSIBLE_DUPLICATE",
                "review",
                "like-customer-claimed-earlier",
                {"customer": str(best.customer_id), "points": best.points, **best.evidence},
            )
        )
    if seen.partner_status != "active":
        status: dict[str, str | int] = {"status": seen.partner_status}
        found.append(_conflict("PARTNER_INELIGIBLE", "reject", "active-partners-only", status))
    return tuple(sorted(found, key=lambda conflict: HARDNESS.index(conflict.resolution)))


def is_above_a_flag(resolution: Resolution) -> bool:
    return HARDNESS.index(resolution) < HARDNESS.index(NOTHING_ABOVE)


def input_hash(**seen: Any) -> str:
    """SHA-256, hex, over JSON with sorted keys and no spaces of what a rule saw."""
    return sha256(json.dumps(seen, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def seen_hash(seen: Seen, **more: Any) -> str:
    return input_hash(
        check=seen.check.model_dump(mode="json"),
        place=seen.place,
        rivals=[rival.model_dump(mode="json") for rival in seen.rivals],
        partner_status=seen.partner_status,
        newest_alignment=seen.newest_alignment,
        **more,
    )


def by_rule(decided_by: UUID, reason: Code, rule: Code, policy: Code, hashed: str) -> Decision:
    return Decision(
        decided_by=decided_by,
        is_automatic=True,
        reason_code=reason,
        rule_id=rule,
        policy_version=policy,
        input_hash=hashed,
    )


def by_person(decided_by: UUID, reason: Code, policy: Code, hashed: str) -> Decision:
    return Decision(
        decided_by=decided_by,
        is_automatic=False,
        reason_code=reason,
        rule_id="decided-by-person",
        policy_version=policy,
        input_hash=hashed,
    )


def _conflict(
    kind: ConflictKind, resolution: Resolution, rule: Code, evidence: dict[str, str | int]
) -> Conflict:
    return Conflict(kind=kind, resolution=resolution, rule_id=rule, evidence=evidence)
