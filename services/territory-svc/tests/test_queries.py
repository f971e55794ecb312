"""What projections keep and queries answer, on a real database."""

from typing import get_args
from uuid import UUID

import pytest

from chassis.context import Actor
from prm_contracts.facts import Fact
from prm_contracts.partners import (
    ChannelManagerAssigned,
    PartnerApplicationRejected,
    PartnerReinstated,
    PartnerSuspended,
)
from prm_contracts.territories import TerritoryActivated
from territory_svc import queries
from territory_svc.domain.alignment import AlignmentNotValidated, PartnerNotLive, Status

from .cast import ALPHA, BOREALIS, DEAL, HOFFMANN, MANAGER, OPERATIONS, defined, registered, works
from .platform import TerritoryService

SHARED = defined(
    "germany",
    works(ALPHA, "shared"),
    works(BOREALIS, "shared"),
    geographies=("DE-BY",),
    excluded_customers=(HOFFMANN,),
)
FRANCE = defined("france", works(BOREALIS), geographies=("FR",))
WORLD = defined("world", families=("storage",))
SELLER = Actor(UUID(int=21), ALPHA, frozenset({"partner-seller"}))


async def territories(
    service: TerritoryService, asker: Actor, **filters: object
) -> list[queries.TerritoryView]:
    asked = {"status": None, "country": None, "partner_id": None} | filters
    query = queries.territory_list(asker, **asked)  # type: ignore[arg-type]
    return [queries.TerritoryView.model_validate(each) for each in await service.asked(query)]


def codes(found: list[queries.TerritoryView]) -> list[str]:
    return [territory.code for territory in found]


async def alignment(service: TerritoryService, alignment_id: UUID) -> queries.AlignmentView:
    [document] = await service.asked(queries.alignment(alignment_id))
    return queries.AlignmentView.model_validate(document)


async def test_the_vendor_sees_all_territories_by_code(service: TerritoryService) -> None:
    await service.align(SHARED, FRANCE, WORLD)
    await service.settle()

    assert codes(await territories(service, MANAGER)) == ["france", "germany", "world"]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"country": "DE"}, ["germany", "world"]),
        ({"country": "IT"}, ["world"]),
        ({"partner_id": BOREALIS}, ["france", "germany"]),
        ({"status": "active"}, ["france", "germany", "world"]),
        ({"status": "retired"}, []),
    ],
)
async def test_territories_are_filtered(
    service: TerritoryService, filters: dict[str, object], found: list[str]
) -> None:
    await service.align(SHARED, FRANCE, WORLD)
    await service.settle()

    assert codes(await territories(service, MANAGER, **filters)) == found


async def test_a_partner_sees_its_own_territories_without_others_assignments(
    service: TerritoryService,
) -> None:
    await service.align(SHARED, FRANCE, WORLD)
    await service.settle()

    [germany] = await territories(service, SELLER)

    assert germany.assignments == (works(ALPHA, "shared"),)
    assert germany.rule.excluded_customers == ()


async def test_a_partner_does_not_find_anothers_territory(service: TerritoryService) -> None:
    await service.align(FRANCE)
    await service.settle()
    [france] = [e.aggregate_id for e in service.stored() if isinstance(e.fact, TerritoryActivated)]

    assert await service.asked(queries.territory(SELLER, france)) == []
    assert len(await service.asked(queries.territory(MANAGER, france))) == 1


async def test_a_retired_territory_is_shown_as_such(service: TerritoryService) -> None:
    await service.align(FRANCE)
    [france] = [e.aggregate_id for e in service.stored() if isinstance(e.fact, TerritoryActivated)]
    retiring = await service.draft()
    await service.change(retiring, territory_id=france)
    await service.activate(await service.ready(retiring))

    await service.settle()

    [retired] = await territories(service, MANAGER)
    assert (retired.status, retired.alignment_version) == ("retired", 2)


async def test_an_alignment_tells_its_changes_and_how_far_it_is(service: TerritoryService) -> None:
    drafted = await service.draft(SHARED, FRANCE)
    await service.settle()
    before = await alignment(service, drafted)

    await service.activate(await service.ready(drafted))
    await service.settle()

    after = await alignment(service, drafted)
    assert (before.status, [each.definition for each in before.changes]) == (
        "draft",
        [SHARED, FRANCE],
    )
    assert (after.status, after.alignment_version, after.territories_changed) == ("activated", 1, 2)
    assert (after.drafted_by, after.approved_by) == (MANAGER.id, OPERATIONS.id)
    assert after.is_rechecked


async def test_an_alignment_tells_its_overlaps(service: TerritoryService) -> None:
    alignment_id = await service.draft(
        FRANCE, defined("paris", works(ALPHA), geographies=("FR-75",)), WORLD
    )
    with pytest.raises(AlignmentNotValidated):
        await service.ready(alignment_id)
    await service.settle()

    told = await alignment(service, alignment_id)

    assert (told.status, told.overlaps_found, len(told.overlaps)) == ("draft", 1, 1)
    assert len(told.unassigned) == 1


async def test_alignments_are_listed_newest_first_by_status(service: TerritoryService) -> None:
    await service.align(FRANCE)
    newest = await service.draft(SHARED)
    await service.settle()

    listed = await service.asked(queries.alignment_list(None))
    drafts = await service.asked(queries.alignment_list("draft"))

    assert [each["status"] for each in listed] == ["draft", "activated"]
    assert [each["alignment_id"] for each in drafts] == [str(newest)]
    assert queries.AlignmentEntry.model_validate(listed[0]).base_version == 1


async def test_an_overtaken_alignment_is_listed_as_stale(service: TerritoryService) -> None:
    await service.align(FRANCE)
    [france] = [e.aggregate_id for e in service.stored() if isinstance(e.fact, TerritoryActivated)]
    overtaken, faster = await service.draft(), await service.draft()
    for each in (overtaken, faster):
        await service.change(each, territory_id=france, definition=FRANCE)
    await service.settle()
    await service.activate(await service.ready(faster))

    await service.settle()

    [stale] = await service.asked(queries.alignment_list("stale"))
    assert stale["alignment_id"] == str(overtaken)


async def test_a_partner_sees_kinds_and_rules_of_its_own_checks_only(
    service: TerritoryService,
) -> None:
    await service.align(FRANCE)
    await service.deal_is_registered(DEAL, registered(ALPHA, country="FR"))
    rival = Actor(UUID(int=22), BOREALIS, frozenset({"partner-seller"}))

    [mine] = await service.asked(queries.conflict_check_list(SELLER, DEAL))
    [full] = await service.asked(queries.conflict_check_list(MANAGER, DEAL))

    told, shown = (queries.ConflictCheckView.model_validate(each) for each in (mine, full))
    assert [conflict.kind for conflict in told.conflicts] == ["EXCLUSIVE_OTHER"]
    assert (told.conflicts[0].evidence, told.territories) == ({}, ())
    assert (shown.conflicts[0].evidence["territories"], len(shown.territories)) == (1, 1)
    assert await service.asked(queries.conflict_check_list(rival, DEAL)) == []


async def test_every_answer_on_a_deal_is_listed_newest_first(service: TerritoryService) -> None:
    await service.deal_is_registered(DEAL, registered(ALPHA))
    await service.align(FRANCE)
    await service.settle()

    listed = await service.asked(queries.conflict_check_list(MANAGER, DEAL))

    assert [each["alignment_version"] for each in listed] == [1, 0]


LIFE: list[tuple[Fact, bool]] = [
    (PartnerSuspended(suspended_by=OPERATIONS.id, reason_code="audit"), True),
    (PartnerReinstated(reinstated_by=OPERATIONS.id), True),
    (ChannelManagerAssigned(contact_id=MANAGER.id, assigned_by=OPERATIONS.id), True),
    (PartnerApplicationRejected(rejected_by=OPERATIONS.id, reason_code="incomplete"), False),
]


@pytest.mark.parametrize(("fact", "is_live"), LIFE)
async def test_a_partner_can_be_assigned_while_it_is_live(
    service: TerritoryService, fact: Fact, is_live: bool
) -> None:
    await service.deliver(ALPHA, 3, fact)
    alignment_id = await service.draft(SHARED)

    if is_live:
        await service.ready(alignment_id)
    else:
        with pytest.raises(PartnerNotLive):
            await service.ready(alignment_id)


async def test_a_fact_projected_again_late_changes_nothing(service: TerritoryService) -> None:
    alignment_id = await service.align(FRANCE)
    retiring = await service.draft()
    [france] = [e.aggregate_id for e in service.stored() if isinstance(e.fact, TerritoryActivated)]
    await service.change(retiring, territory_id=france)
    await service.activate(await service.ready(retiring))
    await service.settle()
    seen = await alignment(service, alignment_id), await territories(service, MANAGER)

    for late in service.stored()[::-1]:
        await service.react(late)

    assert (await alignment(service, alignment_id), await territories(service, MANAGER)) == seen


def test_statuses_shown_are_those_of_the_domain() -> None:
    assert set(get_args(queries.AlignmentStatus)) == set(Status)
