"""Alignments on a real database: what is appended, what is refused, how the map switches."""

import asyncio
import time
from uuid import UUID

import psycopg
import pytest

from prm_contracts.partners import PartnerRegistered, PartnerSuspended
from prm_contracts.territories import (
    AlignmentActivated,
    AlignmentBecameStale,
    AlignmentDrafted,
    AlignmentValidated,
    MapSwitched,
    TerritoryActivated,
    TerritoryKeyReleased,
    TerritoryKeyReserved,
    TerritoryRetired,
    TerritoryRule,
)
from territory_svc import application
from territory_svc.domain.alignment import (
    AlignmentIsStale,
    AlignmentNotFound,
    ExclusivesOverlap,
    PartnerNotLive,
)
from territory_svc.domain.cells import lookup_keys
from territory_svc.domain.code import TerritoryCodeTaken
from territory_svc.domain.territory import TerritoryIsRetired, TerritoryNotFound

from .cast import ALPHA, BOREALIS, HOFFMANN, MANAGER, OPERATIONS, defined, works
from .platform import TerritoryService

GERMANY = defined("germany", works(ALPHA), geographies=("DE",))
FRANCE = defined("france", works(BOREALIS), geographies=("FR",))


def territory_coded(service: TerritoryService, code: str) -> UUID:
    """Of the territories ever activated under the code, the last."""
    found = [
        each.aggregate_id
        for each in service.stored()
        if isinstance(each.fact, TerritoryActivated) and each.fact.definition.code == code
    ]
    return found[-1]


async def test_an_activated_alignment_switches_the_map_in_one_append(
    service: TerritoryService,
) -> None:
    alignment_id = await service.ready(await service.draft(GERMANY, FRANCE))
    before = len(service.stored())

    await service.activate(alignment_id)

    appended = service.stored()[before:]
    assert [type(each.fact) for each in appended] == [
        AlignmentActivated,
        MapSwitched,
        TerritoryActivated,
        TerritoryActivated,
        TerritoryKeyReserved,
        TerritoryKeyReserved,
    ]
    assert len({each.fact.alignment_version for each in appended[:4]}) == 1  # type: ignore[attr-defined]


async def test_a_draft_starts_from_the_map_as_it_is(service: TerritoryService) -> None:
    await service.align(GERMANY)

    await service.draft(FRANCE)

    drafts = service.facts(AlignmentDrafted)
    assert [draft.base_version for draft in drafts if isinstance(draft, AlignmentDrafted)] == [0, 1]


async def test_a_territory_drafted_twice_under_a_code_is_one(service: TerritoryService) -> None:
    alignment_id = await service.draft(GERMANY)

    await service.change(alignment_id, definition=defined("germany", geographies=("DE-BY",)))
    await service.activate(await service.ready(alignment_id))

    assert len(service.facts(TerritoryActivated)) == 1


async def test_only_a_known_territory_is_changed(service: TerritoryService) -> None:
    alignment_id = await service.draft()

    with pytest.raises(TerritoryNotFound):
        await service.change(alignment_id, territory_id=UUID(int=9), definition=GERMANY)


async def test_a_retired_territory_is_not_changed(service: TerritoryService) -> None:
    await service.align(GERMANY)
    retiring = await service.draft(FRANCE)
    germany = territory_coded(service, "germany")
    await service.change(retiring, territory_id=germany)
    await service.activate(await service.ready(retiring))

    with pytest.raises(TerritoryIsRetired):
        await service.change(await service.draft(), territory_id=germany, definition=GERMANY)


async def test_a_retired_territory_frees_its_cells_and_its_code(service: TerritoryService) -> None:
    await service.align(GERMANY)
    retiring = await service.draft()
    await service.change(retiring, territory_id=territory_coded(service, "germany"))
    await service.activate(await service.ready(retiring))

    await service.align(defined("germany", works(BOREALIS), geographies=("DE",)))

    assert len(service.facts(TerritoryRetired)) == 1
    assert len(service.facts(TerritoryActivated)) == 2


async def test_a_code_in_use_is_refused_when_a_draft_is_validated(
    service: TerritoryService,
) -> None:
    await service.align(GERMANY)
    alignment_id = await service.draft(defined("germany", geographies=("FR",)))

    with pytest.raises(TerritoryCodeTaken):
        await service.tell(application.validate_alignment, MANAGER, alignment_id)


async def test_of_two_alignments_with_one_code_the_first_is_activated(
    service: TerritoryService,
) -> None:
    first = await service.ready(await service.draft(GERMANY))
    second = await service.ready(await service.draft(defined("germany", geographies=("FR",))))
    await service.activate(first)

    with pytest.raises(TerritoryCodeTaken):
        await service.activate(second)


async def test_two_territories_swap_their_codes_in_one_alignment(service: TerritoryService) -> None:
    await service.align(GERMANY, FRANCE)
    swap = await service.draft()
    germany, france = (territory_coded(service, code) for code in ("germany", "france"))
    renamed = defined("swapped", works(ALPHA), geographies=("DE",))
    await service.change(swap, territory_id=germany, definition=renamed)
    await service.change(
        swap, territory_id=france, definition=defined("germany", geographies=("FR",))
    )
    final = defined("france", works(ALPHA), geographies=("DE",))
    await service.change(swap, territory_id=germany, definition=final)

    await service.activate(await service.ready(swap))

    assert territory_coded(service, "germany") == france
    assert territory_coded(service, "france") == germany
    assert len(service.facts(TerritoryKeyReleased)) == 2


async def test_a_validation_compares_with_the_map(service: TerritoryService) -> None:
    await service.align(GERMANY)
    alignment_id = await service.draft(
        defined("bavaria", works(BOREALIS), geographies=("DE-BY",)),
        defined("world", works(BOREALIS), families=("backup",)),
    )

    await service.tell(application.validate_alignment, MANAGER, alignment_id)

    last = service.facts(AlignmentValidated)[-1]
    assert isinstance(last, AlignmentValidated)
    assert last.found == 2


async def test_what_an_alignment_changes_is_not_compared_with_what_it_was(
    service: TerritoryService,
) -> None:
    await service.align(GERMANY, FRANCE)
    handover = await service.draft()
    germany = territory_coded(service, "germany")
    await service.change(
        handover,
        territory_id=germany,
        definition=defined("germany", works(BOREALIS), geographies=("DE",)),
    )

    await service.activate(await service.ready(handover))

    assert len(service.facts(TerritoryActivated)) == 3


async def test_exclusives_that_came_to_overlap_are_not_activated(service: TerritoryService) -> None:
    first = await service.ready(await service.draft(GERMANY))
    second = await service.ready(
        await service.draft(defined("bavaria", works(BOREALIS), geographies=("DE-BY",)))
    )
    await service.activate(first)

    with pytest.raises(ExclusivesOverlap):
        await service.activate(second)


async def test_of_two_activations_at_once_each_takes_its_own_version(
    service: TerritoryService,
) -> None:
    ready = [await service.ready(await service.draft(each)) for each in (GERMANY, FRANCE)]

    await asyncio.gather(*(service.activate(each) for each in ready))

    switched = service.facts(MapSwitched)
    versions = [each.alignment_version for each in switched if isinstance(each, MapSwitched)]
    assert versions == [1, 2]


async def test_of_two_overlapping_activations_at_once_one_is_refused(
    service: TerritoryService,
) -> None:
    bavaria = defined("bavaria", works(BOREALIS), geographies=("DE-BY",))
    ready = [await service.ready(await service.draft(each)) for each in (GERMANY, bavaria)]

    outcomes = await asyncio.gather(
        *(service.activate(each) for each in ready), return_exceptions=True
    )

    assert sorted(type(each).__name__ for each in outcomes) == ["ExclusivesOverlap", "NoneType"]


async def test_an_alignment_overtaken_by_another_is_refused_and_becomes_stale(
    service: TerritoryService,
) -> None:
    await service.align(GERMANY)
    germany = territory_coded(service, "germany")
    overtaken, faster = await service.draft(), await service.draft()
    for each in (overtaken, faster):
        await service.change(each, territory_id=germany, definition=GERMANY)
        await service.ready(each)
    await service.activate(faster)

    with pytest.raises(AlignmentIsStale):
        await service.activate(overtaken)
    await service.settle()

    [stale] = [each for each in service.stored() if isinstance(each.fact, AlignmentBecameStale)]
    assert stale.aggregate_id == overtaken


async def test_a_validation_finds_out_that_another_alignment_was_faster(
    service: TerritoryService,
) -> None:
    await service.align(GERMANY)
    germany = territory_coded(service, "germany")
    overtaken, faster = await service.draft(), await service.draft()
    for each in (overtaken, faster):
        await service.change(each, territory_id=germany, definition=GERMANY)
    await service.activate(await service.ready(faster))

    await service.tell(application.validate_alignment, MANAGER, overtaken)

    assert service.stored()[-1].fact == AlignmentBecameStale(map_version=2)


async def test_partners_unknown_or_not_approved_are_not_assigned(service: TerritoryService) -> None:
    applied, unknown = UUID(int=8), UUID(int=9)
    await service.deliver(
        applied,
        1,
        PartnerRegistered(
            legal_name="Dune",
            country="FR",
            types=("reseller",),
            currency="EUR",
            time_zone="Europe/Paris",
            registered_by=MANAGER.id,
        ),
    )
    assigned = works(applied, "shared"), works(unknown, "shared")
    alignment_id = await service.draft(defined("france", *assigned, geographies=("FR",)))

    with pytest.raises(PartnerNotLive) as refused:
        await service.ready(alignment_id)

    assert refused.value.partner_ids == (applied, unknown)


async def test_a_suspended_partner_keeps_its_territories(service: TerritoryService) -> None:
    suspended = PartnerSuspended(suspended_by=OPERATIONS.id, reason_code="audit")
    await service.deliver(ALPHA, 3, suspended)

    await service.align(GERMANY)

    assert len(service.facts(TerritoryActivated)) == 1


async def test_a_missing_alignment_is_not_found(service: TerritoryService) -> None:
    with pytest.raises(AlignmentNotFound):
        await service.activate(UUID(int=9))


RULES = [
    {},
    {"geographies": ("DE", "DE-BY", "FR")},
    {"included_customers": (HOFFMANN,)},
    {"included_customers": (HOFFMANN,), "industries": ("54",)},
    {"included_customers": (HOFFMANN,), "geographies": ("DE-BY",)},
    {"families": ("backup",)},
    {"size_bands": ("small",), "included_customers": (HOFFMANN,)},
    {"channels": ("resale",), "included_customers": (HOFFMANN,)},
    {"families": ("backup",), "included_customers": (HOFFMANN,)},
]


async def test_the_database_finds_territories_under_the_keys_that_the_domain_says(
    service: TerritoryService,
) -> None:
    rules = [TerritoryRule.model_validate(rule) for rule in RULES]

    with psycopg.connect(service.dsn) as connection:
        rows = [
            connection.execute("SELECT lookup_keys(%s::jsonb)", [rule.model_dump_json()]).fetchone()
            for rule in rules
        ]

    assert [set(row[0]) for row in rows if row] == [set(lookup_keys(rule)) for rule in rules]


async def test_three_hundred_territories_are_aligned_at_once_and_quickly(
    service: TerritoryService,
) -> None:
    countries = ("DE", "FR", "IT")
    wanted = [
        defined(
            f"cell-{country.lower()}-{number}",
            works(ALPHA if number % 2 else BOREALIS),
            geographies=(country,),
            industries=(f"{10_000 + number}",),
        )
        for country in countries
        for number in range(100)
    ]
    started = time.perf_counter()

    await service.align(*wanted)

    assert len(service.facts(TerritoryActivated)) == 300
    assert time.perf_counter() - started < 10
