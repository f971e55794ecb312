"""Territories, the map and the codes: given facts, when a verb, then facts or a refusal."""

from uuid import UUID

import pytest

from prm_contracts.territories import (
    MapSwitched,
    TerritoryActivated,
    TerritoryFact,
    TerritoryKeyReleased,
    TerritoryKeyReserved,
    TerritoryReservationFact,
    TerritoryRetired,
)
from territory_svc.domain.code import CodeReservation, TerritoryCodeTaken, code_id
from territory_svc.domain.territory import Status, Switch, Territory, TerritoryIsRetired
from territory_svc.domain.territory_map import MAP_ID, TerritoryMap

from .cast import ALPHA, NOW, defined, works

GERMANY, FRANCE, ALIGNMENT = UUID(int=101), UUID(int=102), UUID(int=71)
SWITCH = Switch(ALIGNMENT, 1, NOW)
DEFINITION = defined("germany", works(ALPHA), geographies=("DE",))
ACTIVATED = TerritoryActivated(
    alignment_id=ALIGNMENT, alignment_version=1, effective_at=NOW, definition=DEFINITION
)
RETIRED = TerritoryRetired(alignment_id=ALIGNMENT, alignment_version=1, effective_at=NOW)
RESERVED = TerritoryKeyReserved(scope="territory-code", held_by=GERMANY)


def given(*facts: TerritoryFact) -> Territory:
    territory = Territory(GERMANY)
    for fact in facts:
        territory.replay(fact)
    return territory


def reserved(*facts: TerritoryReservationFact) -> CodeReservation:
    reservation = CodeReservation(code_id("germany"))
    for fact in facts:
        reservation.replay(fact)
    return reservation


def test_an_activated_territory_is_as_its_alignment_wants_it() -> None:
    territory = given()

    territory.activate(DEFINITION, SWITCH)

    assert territory.pending == [ACTIVATED]
    assert (territory.status, territory.code) == (Status.ACTIVE, "germany")


def test_a_territory_is_retired() -> None:
    territory = given(ACTIVATED)

    territory.retire(SWITCH)

    assert territory.pending == [RETIRED]


@pytest.mark.parametrize("facts", [(), (ACTIVATED, RETIRED)])
def test_what_is_not_active_has_nothing_to_retire(facts: tuple[TerritoryFact, ...]) -> None:
    territory = given(*facts)

    territory.retire(SWITCH)

    assert territory.pending == []


def test_a_retired_territory_stays_retired() -> None:
    with pytest.raises(TerritoryIsRetired):
        given(ACTIVATED, RETIRED).activate(DEFINITION, SWITCH)


def test_the_map_counts_the_alignments() -> None:
    territory_map = TerritoryMap(MAP_ID)

    territory_map.switch(SWITCH)

    assert territory_map.pending == [
        MapSwitched(alignment_version=1, alignment_id=ALIGNMENT, effective_at=NOW)
    ]
    assert territory_map.alignment_version == 1


def test_a_free_code_is_claimed() -> None:
    reservation = reserved()

    reservation.claim("germany", GERMANY)

    assert reservation.pending == [RESERVED]


def test_a_code_is_held_by_one_territory() -> None:
    with pytest.raises(TerritoryCodeTaken):
        reserved(RESERVED).claim("germany", FRANCE)


def test_a_territory_keeps_its_code() -> None:
    reservation = reserved(RESERVED)

    reservation.claim("germany", GERMANY)

    assert reservation.pending == []


def test_a_released_code_is_free() -> None:
    reservation = reserved(RESERVED)

    reservation.release(GERMANY)
    reservation.claim("germany", FRANCE)

    assert reservation.pending == [
        TerritoryKeyReleased(scope="territory-code", held_by=GERMANY),
        TerritoryKeyReserved(scope="territory-code", held_by=FRANCE),
    ]


def test_a_code_is_released_by_its_holder_only() -> None:
    reservation = reserved(RESERVED)

    reservation.release(FRANCE)

    assert reservation.pending == []
