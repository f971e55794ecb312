"""Commands on conflict checks: a subject is checked, and checked again when the map switches."""

from uuid import UUID

from chassis.context import Context
from chassis.store import Saved, Store
from prm_contracts.territories import Dimensions
from territory_svc.application import tables
from territory_svc.domain.alignment import Alignment
from territory_svc.domain.conflict_check import ConflictCheck, check_id
from territory_svc.domain.matching import locate


async def check_subject(
    store: Store, ctx: Context, subject: UUID, subject_version: int, dimensions: Dimensions
) -> Saved:
    check = await _checked(store, subject, subject_version, dimensions)
    return await store.save(ctx, check)


async def recheck_outdated_subject(
    store: Store, ctx: Context, subject: UUID, subject_version: int
) -> Saved:
    """Checks it again if the map has switched since; for a check that crossed with the switch."""
    answered = await store.load(ConflictCheck, check_id(subject, subject_version))
    outdated = await store.rows(tables.DueSubject, tables.outdated_subject(subject))
    return await store.save(ctx, answered, *[await _due(store, each) for each in outdated])


async def recheck_undecided_subjects(
    store: Store, ctx: Context, alignment_id: UUID, after: UUID | None
) -> Saved:
    """One batch, by id, of those that an older map answered; the fact says where to go on."""
    alignment = await store.load(Alignment, alignment_id)
    outdated = await store.rows(tables.DueSubject, tables.outdated_subjects(after))
    checks = [await _due(store, each) for each in outdated]
    is_last = len(outdated) < tables.BATCH
    alignment.note_recheck(len(outdated), None if is_last else outdated[-1].subject)
    return await store.save(ctx, alignment, *checks)


async def _due(store: Store, due: tables.DueSubject) -> ConflictCheck:
    return await _checked(store, due.subject, due.subject_version, due.dimensions)


async def _checked(
    store: Store, subject: UUID, subject_version: int, dimensions: Dimensions
) -> ConflictCheck:
    [found] = await store.rows(tables.MapExtract, tables.map_of(dimensions))
    check = await store.load_or_new(ConflictCheck, check_id(subject, subject_version))
    located = locate(dimensions, found.territories)
    check.complete(subject, subject_version, dimensions, located, found.alignment_version)
    return check
