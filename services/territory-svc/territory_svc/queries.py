"""One function a question: SQL in; the view models of the documents that it answers."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel

from chassis.context import Actor
from chassis.sql import Listing, Statement
from prm_contracts.territories import (
    Assignment,
    Conflict,
    MatchedTerritory,
    Overlap,
    TerritoryDefinition,
    TerritoryRule,
)
from prm_contracts.values import Instant

TerritoryStatus = Literal["active", "retired"]
AlignmentStatus = Literal["draft", "validated", "approved", "activated", "stale"]


class TerritoryView(BaseModel):
    """A partner sees its own assignment only, and no excluded customers."""

    territory_id: UUID
    code: str
    name: str
    status: TerritoryStatus
    rule: TerritoryRule
    assignments: tuple[Assignment, ...]
    alignment_id: UUID
    alignment_version: int
    effective_at: Instant
    version: int


class AlignmentEntry(BaseModel):
    """`is_rechecked`: the deals undecided at its activation have been checked by its map."""

    alignment_id: UUID
    name: str
    status: AlignmentStatus
    base_version: int
    drafted_by: UUID
    drafted_at: Instant
    overlaps: tuple[Overlap, ...]
    overlaps_found: int
    unassigned: tuple[UUID, ...]
    approved_by: UUID | None = None
    approved_at: Instant | None = None
    activated_by: UUID | None = None
    effective_at: Instant | None = None
    alignment_version: int | None = None
    territories_changed: int | None = None
    is_rechecked: bool
    version: int


class WantedTerritory(BaseModel):
    """`definition` null: to be retired."""

    territory_id: UUID
    definition: TerritoryDefinition | None


class AlignmentView(AlignmentEntry):
    changes: tuple[WantedTerritory, ...]


class ConflictCheckView(BaseModel):
    """An answer by one map. A partner is shown no evidence and no territories."""

    check_id: UUID
    subject: UUID
    subject_version: int
    alignment_version: int
    conflicts: tuple[Conflict, ...]
    territories: tuple[MatchedTerritory, ...]
    missing: tuple[str, ...]
    checked_at: Instant
    version: int


OWN = "%(tenant_id)s::uuid IS NULL OR partner_ids @> ARRAY[%(tenant_id)s::uuid]"
SHOWN = "territory_seen_by(%(tenant_id)s::uuid, document)"


def territory_list(
    asker: Actor, status: TerritoryStatus | None, country: str | None, partner_id: UUID | None
) -> Listing:
    """By code. `country`: those that can lie in it."""
    return Listing(
        table="territory_list",
        aggregate_id="territory_id",
        shows=SHOWN,
        scope=OWN,
        where="(%(partner_id)s::uuid IS NULL OR partner_ids @> ARRAY[%(partner_id)s::uuid])"
        " AND (%(status)s::text IS NULL OR status = %(status)s::text)"
        " AND (%(country)s::text IS NULL OR countries = '{}'"
        " OR %(country)s::text = ANY(countries))",
        values={
            "tenant_id": asker.tenant_id,
            "partner_id": partner_id,
            "status": status,
            "country": country,
        },
    )


def territory(asker: Actor, territory_id: UUID) -> Statement:
    return Statement(
        f"SELECT {SHOWN} AS document, version"  # noqa: S608 - written above
        f" FROM territory_list WHERE territory_id = %(id)s AND ({OWN})",
        {"id": territory_id, "tenant_id": asker.tenant_id},
    )


def alignment_list(status: AlignmentStatus | None) -> Listing:
    """Newest first. For the vendor's people only."""
    return Listing(
        table="alignment_list",
        aggregate_id="alignment_id",
        where="%(status)s::text IS NULL OR status = %(status)s::text",
        values={"status": status},
    )


def alignment(alignment_id: UUID) -> Statement:
    return Statement(
        "SELECT document || jsonb_build_object('changes', COALESCE((SELECT"
        " jsonb_agg(c.document ORDER BY c.version) FROM alignment_changes c"
        " WHERE c.alignment_id = alignment_list.alignment_id), '[]')) AS document, version"
        " FROM alignment_list WHERE alignment_id = %(id)s",
        {"id": alignment_id},
    )


def conflict_check_list(asker: Actor, subject: UUID) -> Listing:
    """Every answer on a subject, newest first."""
    return Listing(
        table="conflict_check_list",
        aggregate_id="check_id",
        shows="CASE WHEN %(tenant_id)s::uuid IS NULL THEN document ELSE partner_document END",
        scope="%(tenant_id)s::uuid IS NULL OR partner_id = %(tenant_id)s::uuid",
        where="subject = %(subject)s",
        values={"subject": subject, "tenant_id": asker.tenant_id},
    )
