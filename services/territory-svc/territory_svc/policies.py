"""Whenever a fact then a command: one function a rule; no memory, no I/O of its own."""

from chassis.context import Context
from chassis.store import Recorded, Store
from prm_contracts.deals import ConflictCheckRequested, DealRegistered
from prm_contracts.territories import (
    AlignmentActivated,
    Dimensions,
    OpenSubjectsRechecked,
    TerritoryConflictChecked,
)
from territory_svc import application

Registered = Recorded[DealRegistered]
Requested = Recorded[ConflictCheckRequested]
Checked = Recorded[TerritoryConflictChecked]
Activated = Recorded[AlignmentActivated]
Rechecked = Recorded[OpenSubjectsRechecked]

FIRST = 1  # the subject version whose check a registration asks for


async def check_registered_deal(store: Store, ctx: Context, registered: Registered) -> None:
    dimensions = dimensions_of(registered.fact)
    await application.check_subject(store, ctx, registered.aggregate_id, FIRST, dimensions)


async def check_deal_on_request(store: Store, ctx: Context, requested: Requested) -> None:
    asked = requested.fact
    await application.check_subject(
        store, ctx, requested.aggregate_id, asked.subject_version, asked.dimensions
    )


async def recheck_outdated_subject(store: Store, ctx: Context, checked: Checked) -> None:
    """A check that crossed with a switch of the map is repeated; all others stay as they are."""
    fact = checked.fact
    await application.recheck_outdated_subject(store, ctx, fact.subject, fact.subject_version)


async def overtake_alignments(store: Store, ctx: Context, activated: Activated) -> None:
    await application.overtake_alignments(store, ctx, activated.aggregate_id)


async def recheck_undecided_subjects(store: Store, ctx: Context, activated: Activated) -> None:
    await application.recheck_undecided_subjects(store, ctx, activated.aggregate_id, after=None)


async def recheck_next_subjects(store: Store, ctx: Context, rechecked: Rechecked) -> None:
    """Goes on from batch to batch; the fact of the last one names no subject, and it ends."""
    after = rechecked.fact.last_subject
    if after:
        await application.recheck_undecided_subjects(store, ctx, rechecked.aggregate_id, after)


def dimensions_of(deal: DealRegistered) -> Dimensions:
    return Dimensions(
        partner_id=deal.partner_id,
        customer_id=deal.customer.customer_id,
        country=deal.customer.country,
        subdivision=deal.customer.subdivision,
        postal_code=deal.customer.postal_code,
        industry=deal.industry,
        families=tuple(sorted({line.family for line in deal.lines})),
        size_band=deal.size_band,
        channel=deal.channel,
        organisation_type=deal.organisation_type,
    )
