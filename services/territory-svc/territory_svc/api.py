"""HTTP in: one endpoint a command, one a question."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response
from pydantic import Field

from chassis.web.http import (
    Accepted,
    Asker,
    Ctx,
    HasPorts,
    accepted,
    allowed,
    if_match_required,
    waits_for,
)
from chassis.web.lists import PageAsked, page_of
from chassis.web.pages import AsOf, Listed, listed, one
from chassis.web.routes import Router
from prm_contracts.facts import Value
from prm_contracts.values import Country, Name
from territory_svc import application, queries
from territory_svc.domain.alignment import AlignmentNotFound
from territory_svc.domain.territory import TerritoryNotFound

PROPOSERS = ("channel-account-manager", "channel-operations")
DECIDERS = ("channel-operations",)
READERS = (*PROPOSERS, "partner-admin", "partner-seller")

alignments = Router(prefix="/v1/alignments", tags=["alignments"])
territories = Router(prefix="/v1/territories", tags=["territories"])
conflict_checks = Router(prefix="/v1/conflict-checks", tags=["conflict-checks"])


AlignmentPage = Annotated[PageAsked, page_of(queries.AlignmentEntry, "drafted_at", "name")]
TerritoryPage = Annotated[PageAsked, page_of(queries.TerritoryView, "code", "effective_at", "name")]
ConflictCheckPage = Annotated[
    PageAsked, page_of(queries.ConflictCheckView, "alignment_version", "checked_at")
]


class DraftAlignment(Value):
    name: Name
    changes: tuple[application.Change, ...] = Field((), max_length=1000)


@alignments.post("", status_code=201, dependencies=[allowed(*PROPOSERS)])
async def draft_alignment(
    body: DraftAlignment, ctx: Ctx, ports: HasPorts, out: Response
) -> Accepted:
    """A proposal to change territories, from the map as it is now; all changes at once or later."""
    asked = (body.name, body.changes)
    saved = await ports.events.execute(application.draft_alignment, ctx, *asked)
    return accepted(saved, ports, out)


@alignments.post("/{alignment_id}/change-territory", dependencies=[allowed(*PROPOSERS)])
async def change_territory(
    alignment_id: UUID, body: application.Change, ctx: Ctx, ports: HasPorts, out: Response
) -> Accepted:
    """Takes a territory into the draft: a new one, one to redefine, or one to retire."""
    saved = await ports.events.execute(application.change_territory, ctx, alignment_id, body)
    return accepted(saved, ports, out)


@alignments.post("/{alignment_id}/validate", dependencies=[allowed(*PROPOSERS)])
async def validate_alignment(
    alignment_id: UUID, ctx: Ctx, ports: HasPorts, out: Response
) -> Accepted:
    """Looks for overlaps of exclusives; the alignment says what was found."""
    saved = await ports.events.execute(application.validate_alignment, ctx, alignment_id)
    return accepted(saved, ports, out)


@alignments.post("/{alignment_id}/approve", dependencies=[allowed(*DECIDERS), if_match_required])
async def approve_alignment(
    alignment_id: UUID, ctx: Ctx, ports: HasPorts, out: Response
) -> Accepted:
    """By another person than those who drafted and changed it, of the version that it has read."""
    saved = await ports.events.execute(application.approve_alignment, ctx, alignment_id)
    return accepted(saved, ports, out)


@alignments.post("/{alignment_id}/activate", dependencies=[allowed(*DECIDERS)])
async def activate_alignment(
    alignment_id: UUID, ctx: Ctx, ports: HasPorts, out: Response
) -> Accepted:
    """The map switches now, as a whole; deals still undecided are checked again by it."""
    saved = await ports.events.execute(application.activate_alignment, ctx, alignment_id)
    return accepted(saved, ports, out)


@alignments.get(
    "",
    response_model=Listed[queries.AlignmentEntry],
    dependencies=[allowed(*PROPOSERS), waits_for("alignment_list")],
)
async def alignment_list(
    asker: Asker,
    ports: HasPorts,
    page: AlignmentPage,
    status: queries.AlignmentStatus | None = None,
) -> Response:
    """Newest first."""
    return await listed(ports, asker, page, queries.alignment_list(status))


@alignments.get(
    "/{alignment_id}",
    response_model=queries.AlignmentView,
    dependencies=[allowed(*PROPOSERS), waits_for("alignment_list"), waits_for("alignment_changes")],
)
async def alignment(
    alignment_id: UUID, asker: Asker, ports: HasPorts, as_of: AsOf = None
) -> Response:
    query, missing = queries.alignment(alignment_id), AlignmentNotFound(alignment_id)
    return await one(ports, asker, query, missing, as_of=as_of)


@territories.get(
    "",
    response_model=Listed[queries.TerritoryView],
    dependencies=[allowed(*READERS), waits_for("territory_list")],
)
async def territory_list(
    *,
    asker: Asker,
    ports: HasPorts,
    page: TerritoryPage,
    status: queries.TerritoryStatus | None = None,
    country: Annotated[Country | None, Query()] = None,
    partner_id: UUID | None = None,
) -> Response:
    """By code. Partners see the territories that they are assigned to."""
    listing = queries.territory_list(asker, status, country, partner_id)
    return await listed(ports, asker, page, listing)


@territories.get(
    "/{territory_id}",
    response_model=queries.TerritoryView,
    dependencies=[allowed(*READERS), waits_for("territory_list")],
)
async def territory(
    territory_id: UUID, asker: Asker, ports: HasPorts, as_of: AsOf = None
) -> Response:
    query, missing = queries.territory(asker, territory_id), TerritoryNotFound(territory_id)
    return await one(ports, asker, query, missing, as_of=as_of)


@conflict_checks.get(
    "",
    response_model=Listed[queries.ConflictCheckView],
    dependencies=[allowed(*READERS), waits_for("conflict_check_list")],
)
async def conflict_check_list(
    subject: UUID, asker: Asker, ports: HasPorts, page: ConflictCheckPage
) -> Response:
    """Every answer on a deal, newest first. Partners see kinds and rules of their own."""
    return await listed(ports, asker, page, queries.conflict_check_list(asker, subject))
