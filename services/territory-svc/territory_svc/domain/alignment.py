"""A proposal to change territories: drafted, validated, approved by a second person, activated."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, assert_never
from uuid import UUID

from chassis.aggregates import Aggregate
from chassis.context import Actor
from chassis.errors import Conflict, Forbidden, Invalid, NotFound
from prm_contracts.codes import COUNTRIES
from prm_contracts.territories import (
    AlignmentActivated,
    AlignmentApproved,
    AlignmentBecameStale,
    AlignmentDrafted,
    AlignmentFact,
    AlignmentValidated,
    OpenSubjectsRechecked,
    Overlap,
    TerritoryChangedInAlignment,
    TerritoryDefinition,
)
from territory_svc.domain.territory import Switch

LISTED: Final = 200  # overlaps and unassigned territories that a validation names


class Status(StrEnum):
    DRAFT = "draft"
    VALIDATED = "validated"
    APPROVED = "approved"
    ACTIVATED = "activated"
    STALE = "stale"


class AlignmentNotFound(NotFound):
    """There is no such alignment."""


@dataclass(eq=False)
class AlignmentNotOpen(Conflict):
    """Only a draft can be changed, and an approved alignment is final: draft another one."""

    alignment_id: UUID
    alignment_status: Status


@dataclass(eq=False)
class AlignmentNotValidated(Conflict):
    """An alignment is approved once it is validated without overlaps: validate it first."""

    alignment_id: UUID
    alignment_status: Status
    overlaps_found: int


@dataclass(eq=False)
class AlignmentNotApproved(Conflict):
    """Only an approved alignment is activated: ask a second person to approve it."""

    alignment_id: UUID
    alignment_status: Status


@dataclass(eq=False)
class AlignmentIsEmpty(Conflict):
    """An alignment changes at least one territory: change one in it."""

    alignment_id: UUID


@dataclass(eq=False)
class AlignmentIsStale(Conflict):
    """Another alignment changed a territory that this one touches: draft it anew."""

    alignment_id: UUID
    territory_ids: tuple[UUID, ...]


@dataclass(eq=False)
class ExclusivesOverlap(Conflict):
    """An exclusive territory shares no cell with another partner: change one, validate again."""

    overlaps: tuple[Overlap, ...]
    found: int


@dataclass(eq=False)
class CodeTwiceInAlignment(Conflict):
    """Two territories of one alignment have the same code: give one of them another."""

    code: str
    territory_id: UUID


@dataclass(eq=False)
class PartnerNotLive(Conflict):
    """Only partners known and live here are assigned: have them approved first, then ask again.

    One approved just now is known in a moment: send its Prm-Position along.
    """

    partner_ids: tuple[UUID, ...]


class FourEyesNeeded(Forbidden):
    """Who drafted or changed an alignment does not approve it: ask another person."""


@dataclass(eq=False)
class AssignedTwice(Invalid):
    """A partner is assigned to a territory once: keep one of its roles."""

    code: str
    partner_id: UUID


@dataclass(eq=False)
class CountryUnknown(Invalid):
    """There is no such country: use a code of ISO 3166-1, or of one of its subdivisions."""

    code: str
    geography: str


@dataclass(eq=False)
class ExclusiveIsNotAlone(Invalid):
    """Beside an exclusive partner only overlays work a territory: make all of them shared."""

    code: str


class Alignment(Aggregate[AlignmentFact]):
    """`changes`: by territory, None to retire it. `proposers`: who drafted or changed."""

    not_found = AlignmentNotFound
    status: Status
    base_version: int
    changes: dict[UUID, TerritoryDefinition | None]
    proposers: frozenset[UUID]
    overlaps_found: int
    last_subject: UUID | None = None  # how far the subjects still undecided were checked again

    def draft(self, actor: Actor, name: str, base_version: int) -> None:
        self.record(AlignmentDrafted(name=name, base_version=base_version, drafted_by=actor.id))

    def change(self, actor: Actor, territory_id: UUID, wanted: TerritoryDefinition | None) -> None:
        """`wanted` None: the territory is to be retired. The last change of one counts."""
        self._ensure_open()
        if wanted is not None:
            ensure_sound(wanted)
            holder = self.territory_coded(wanted.code)
            if holder not in (None, territory_id):
                raise CodeTwiceInAlignment(wanted.code, holder)
        self.record(
            TerritoryChangedInAlignment(
                territory_id=territory_id, definition=wanted, changed_by=actor.id
            )
        )

    def territory_coded(self, code: str) -> UUID | None:
        wanted = self.changes.items()
        return next((place for place, to_be in wanted if to_be and to_be.code == code), None)

    def validate(self, overlaps: Collection[Overlap]) -> None:
        """Records what was found; overlaps keep it a draft."""
        self._ensure_open()
        if not self.changes:
            raise AlignmentIsEmpty(self.id)
        wanted = self.changes.items()
        unassigned = [place for place, to_be in wanted if to_be and not to_be.assignments]
        self.record(
            AlignmentValidated(
                overlaps=tuple(overlaps)[:LISTED],
                found=len(overlaps),
                unassigned=tuple(unassigned[:LISTED]),
            )
        )

    def overtake(self, changed: Collection[UUID], map_version: int) -> None:
        """Another alignment changed these: one that touches them and is not decided is stale."""
        is_open = self.status in (Status.DRAFT, Status.VALIDATED, Status.APPROVED)
        is_touched = not self.changes.keys().isdisjoint(changed)
        if is_open and is_touched and map_version > self.base_version:
            self.record(AlignmentBecameStale(map_version=map_version))

    def assigned_partners(self) -> frozenset[UUID]:
        definitions = [wanted for wanted in self.changes.values() if wanted]
        return frozenset(a.partner_id for wanted in definitions for a in wanted.assignments)

    def approve(self, actor: Actor, live: Collection[UUID]) -> None:
        """`live`: those of the assigned partners who are known and live."""
        if self.status is not Status.VALIDATED:
            raise AlignmentNotValidated(self.id, self.status, self.overlaps_found)
        if actor.id in self.proposers:
            raise FourEyesNeeded
        unknown = self.assigned_partners() - set(live)
        if unknown:
            raise PartnerNotLive(tuple(sorted(unknown)))
        self.record(AlignmentApproved(approved_by=actor.id))

    def activate(
        self, actor: Actor, switch: Switch, changed: int, overlaps: Collection[Overlap]
    ) -> None:
        """`changed`: how many territories say so in their own streams; `overlaps`: as of now."""
        if self.status is not Status.APPROVED:
            raise AlignmentNotApproved(self.id, self.status)
        if overlaps:
            raise ExclusivesOverlap(tuple(overlaps)[:LISTED], len(overlaps))
        if not changed:
            raise AlignmentIsEmpty(self.id)
        self.record(
            AlignmentActivated(
                alignment_version=switch.alignment_version,
                effective_at=switch.effective_at,
                changed=changed,
                activated_by=actor.id,
            )
        )

    def note_recheck(self, rechecked: int, last_subject: UUID | None) -> None:
        self.record(OpenSubjectsRechecked(rechecked=rechecked, last_subject=last_subject))

    def ensure_current(self, stale: Collection[UUID]) -> None:
        """`stale`: what it touches and another alignment has changed since its base version."""
        if stale or self.status is Status.STALE:
            raise AlignmentIsStale(self.id, tuple(stale))

    def _ensure_open(self) -> None:
        if self.status not in (Status.DRAFT, Status.VALIDATED):
            raise AlignmentNotOpen(self.id, self.status)

    def apply(self, fact: AlignmentFact) -> None:
        match fact:
            case AlignmentDrafted():
                self.status, self.base_version = Status.DRAFT, fact.base_version
                self.proposers, self.changes = frozenset({fact.drafted_by}), {}
                self.overlaps_found = 0
            case TerritoryChangedInAlignment():
                self.status = Status.DRAFT
                self.proposers |= {fact.changed_by}
                self.changes = {**self.changes, fact.territory_id: fact.definition}
            case AlignmentValidated():
                self.status = Status.DRAFT if fact.found else Status.VALIDATED
                self.overlaps_found = fact.found
            case AlignmentApproved():
                self.status = Status.APPROVED
            case AlignmentActivated():
                self.status = Status.ACTIVATED
            case AlignmentBecameStale():
                self.status = Status.STALE
            case OpenSubjectsRechecked():
                self.last_subject = fact.last_subject
            case _:
                assert_never(fact)


def ensure_sound(wanted: TerritoryDefinition) -> None:
    for geography in wanted.rule.geographies:
        if geography[:2] not in COUNTRIES:
            raise CountryUnknown(wanted.code, geography)
    partners = [assignment.partner_id for assignment in wanted.assignments]
    for partner_id in partners:
        if partners.count(partner_id) > 1:
            raise AssignedTwice(wanted.code, partner_id)
    roles = [assignment.role for assignment in wanted.assignments if assignment.role != "overlay"]
    if "exclusive" in roles and len(roles) > 1:
        raise ExclusiveIsNotAlone(wanted.code)
