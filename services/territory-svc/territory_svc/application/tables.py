"""What commands read of this service's own tables at decision time.

The map and the subjects checked by it are written in the append that records them, so that they
are never older than the aggregates; partners, deals and alignments come by their topics.
"""

from collections.abc import Collection, Iterable
from typing import Final
from uuid import UUID

from pydantic import BaseModel

from chassis.sql import Statement
from prm_contracts.territories import Dimensions
from territory_svc.domain.cells import EVERYWHERE, PlacedTerritory, subject_keys

BATCH: Final = 50  # subjects that one fact has checked again


class MapExtract(BaseModel):
    """Part of the map, read in one statement: territories of two versions never mix."""

    alignment_version: int
    territories: tuple[PlacedTerritory, ...]


class Named(BaseModel):
    id: UUID


class CodeHolder(BaseModel):
    code: str
    territory_id: UUID


class DueSubject(BaseModel):
    """A subject to check, with all that it is matched by."""

    subject: UUID
    subject_version: int
    dimensions: Dimensions


def map_of(subject: Dimensions) -> Statement:
    """The territories that the subject can lie in, or would if more of it were known.

    Leaves out only what a known family or industry rules out; the engine decides on the rest.
    """
    return Statement(
        "SELECT alignment_version, COALESCE((SELECT jsonb_agg(jsonb_build_object("
        "'territory_id', territory_id, 'rule', rule, 'assignments', assignments))"
        " FROM territory_cells WHERE is_active AND lookup_keys && %(keys)s::text[]"
        " AND (%(customer)s::text = ANY(lookup_keys) OR ("
        " (rule->'families' = '[]' OR rule->'families' ?| %(families)s::text[])"
        " AND (rule->'industries' = '[]' OR %(industry)s::text IS NULL OR EXISTS ("
        "SELECT FROM jsonb_array_elements_text(rule->'industries') AS prefix"
        " WHERE starts_with(%(industry)s::text, prefix)"
        " OR starts_with(prefix, %(industry)s::text)))))"
        "), '[]') AS territories FROM territory_map",
        {
            "keys": list(subject_keys(subject)),
            "customer": str(subject.customer_id),
            "families": list(subject.families),
            "industry": subject.industry,
        },
    )


def whole_map() -> Statement:
    return Statement(
        "SELECT alignment_version, COALESCE((SELECT jsonb_agg(jsonb_build_object("
        "'territory_id', territory_id, 'rule', rule, 'assignments', assignments))"
        " FROM territory_cells WHERE is_active), '[]') AS territories FROM territory_map",
        {},
    )


def map_near(keys: Collection[str]) -> Statement:
    """All that a territory with one of the keys can share cells with."""
    if EVERYWHERE in keys:
        return whole_map()
    return Statement(
        "SELECT alignment_version, COALESCE((SELECT jsonb_agg(jsonb_build_object("
        "'territory_id', territory_id, 'rule', rule, 'assignments', assignments))"
        " FROM territory_cells WHERE is_active AND lookup_keys && %(keys)s::text[]"
        "), '[]') AS territories FROM territory_map",
        {"keys": [EVERYWHERE, *keys]},
    )


def changed_since(base_version: int, territory_ids: Iterable[UUID]) -> Statement:
    return Statement(
        "SELECT territory_id AS id FROM territory_cells"
        " WHERE territory_id = ANY(%(ids)s) AND alignment_version > %(base_version)s"
        " ORDER BY territory_id",
        {"ids": list(territory_ids), "base_version": base_version},
    )


def holders_of(codes: Iterable[str], but: Iterable[UUID]) -> Statement:
    return Statement(
        "SELECT code, territory_id FROM territory_cells"
        " WHERE is_active AND code = ANY(%(codes)s) AND territory_id <> ALL(%(but)s)"
        " ORDER BY code LIMIT 1",
        {"codes": list(codes), "but": list(but)},
    )


def live_partners(partner_ids: Iterable[UUID]) -> Statement:
    return Statement(
        "SELECT partner_id AS id FROM partners"
        " WHERE partner_id = ANY(%(ids)s) AND status IN ('active', 'suspended')",
        {"ids": list(partner_ids)},
    )


def undecided_alignments() -> Statement:
    return Statement(
        "SELECT alignment_id AS id FROM alignment_list"
        " WHERE status IN ('draft', 'validated', 'approved') ORDER BY alignment_id",
        {},
    )


def outdated_subject(subject: UUID) -> Statement:
    """The subject, if its newest check is by an older map and nobody has decided on it."""
    return Statement(
        "SELECT subject, subject_version, dimensions FROM checked_subjects"
        " LEFT JOIN open_deals ON deal_id = subject"
        " WHERE subject = %(subject)s AND COALESCE(is_open, true)"
        " AND alignment_version < (SELECT alignment_version FROM territory_map)",
        {"subject": subject},
    )


def outdated_subjects(after: UUID | None) -> Statement:
    """A batch of them, by id."""
    return Statement(
        "SELECT subject, subject_version, dimensions FROM checked_subjects"
        " LEFT JOIN open_deals ON deal_id = subject"
        " WHERE (%(after)s::uuid IS NULL OR subject > %(after)s::uuid)"
        " AND COALESCE(is_open, true)"
        " AND alignment_version < (SELECT alignment_version FROM territory_map)"
        " ORDER BY subject LIMIT %(batch)s",
        {"after": after, "batch": BATCH},
    )
