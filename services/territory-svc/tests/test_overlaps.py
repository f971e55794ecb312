"""Given a map, when territories change, then which of them meet another's exclusive one."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prm_contracts.territories import Dimensions, TerritoryRule
from territory_svc.domain.cells import PlacedTerritory, has_cell, lookup_keys, share_cells
from territory_svc.domain.matching import locate
from territory_svc.domain.overlaps import are_rivals, overlaps

from .cast import ALPHA, BOREALIS, HOFFMANN, placed, subject, works


def pairs(changed: list[PlacedTerritory], standing: list[PlacedTerritory]) -> list[tuple[int, int]]:
    found = overlaps(changed, standing)
    return [(each.territory_id.int - 100, each.other_id.int - 100) for each in found]


def test_two_exclusives_of_different_partners_do_not_overlap() -> None:
    germany = placed(1, works(ALPHA), geographies=("DE",))
    bavaria = placed(2, works(BOREALIS), geographies=("DE-BY",))

    assert pairs([bavaria], [germany]) == [(2, 1)]


def test_changed_territories_are_compared_with_each_other_once() -> None:
    germany = placed(1, works(ALPHA), geographies=("DE",))
    bavaria = placed(2, works(BOREALIS), geographies=("DE-BY",))

    assert pairs([germany, bavaria], []) == [(2, 1)]


def test_an_exclusive_does_not_lie_over_anothers_shared_cells() -> None:
    shared = placed(1, works(BOREALIS, "shared"), geographies=("DE",))
    exclusive = placed(2, works(ALPHA), geographies=("DE",))

    assert pairs([exclusive], [shared]) == [(2, 1)]
    assert pairs([shared], [exclusive]) == [(1, 2)]


ALLOWED = [
    placed(2, works(ALPHA), geographies=("DE",)),
    placed(2, works(BOREALIS, "overlay"), geographies=("DE",)),
    placed(2, geographies=("DE",)),
    placed(2, works(BOREALIS), geographies=("FR",)),
    placed(2, works(BOREALIS), geographies=("DE",), industries=("54",)),
    placed(2, works(BOREALIS), included_customers=(HOFFMANN,)),
]


@pytest.mark.parametrize("other", ALLOWED)
def test_own_overlay_unassigned_separate_and_named_territories_may_stand_beside(
    other: PlacedTerritory,
) -> None:
    mine = placed(1, works(ALPHA), geographies=("DE",), industries=("62",))

    assert pairs([other], [mine]) == []


def test_two_exclusives_do_not_name_the_same_customer() -> None:
    mine = placed(1, works(ALPHA), included_customers=(HOFFMANN,))
    yours = placed(2, works(BOREALIS), included_customers=(HOFFMANN,), geographies=("FR",))

    assert pairs([yours], [mine]) == [(2, 1)]


def test_a_territory_everywhere_meets_all_others() -> None:
    world = placed(1, works(ALPHA), families=("backup",))
    france = placed(2, works(BOREALIS), geographies=("FR",))

    assert pairs([france], [world]) == [(2, 1)]
    assert pairs([world], [france]) == [(1, 2)]


CUSTOMERS = [UUID(int=31), UUID(int=32)]
rules = st.builds(
    TerritoryRule,
    geographies=st.sets(st.sampled_from(["DE", "DE-BY", "FR"]), max_size=2).map(tuple),
    industries=st.sets(st.sampled_from(["54", "5415", "62"]), max_size=2).map(tuple),
    families=st.sets(st.sampled_from(["backup", "storage"]), max_size=1).map(tuple),
    included_customers=st.sets(st.sampled_from(CUSTOMERS), max_size=1).map(tuple),
    excluded_customers=st.sets(st.sampled_from(CUSTOMERS), max_size=1).map(tuple),
)
subjects = st.builds(
    subject,
    customer_id=st.sampled_from([*CUSTOMERS, UUID(int=33)]),
    country=st.just("DE"),
    subdivision=st.sampled_from([None, "DE-BY", "DE-BE"]),
    industry=st.sampled_from([None, "54", "541512", "62"]),
    families=st.sampled_from([("backup",), ("storage",)]),
)


@given(rules, rules, subjects)
def test_where_a_subject_lies_in_two_territories_they_share_cells(
    one: TerritoryRule, other: TerritoryRule, asked: Dimensions
) -> None:
    territories = [
        PlacedTerritory(territory_id=UUID(int=1), rule=one),
        PlacedTerritory(territory_id=UUID(int=2), rule=other),
    ]

    located = locate(asked, territories)

    assert len(located.territories) < 2 or share_cells(one, other)


@given(rules, rules)
def test_the_index_finds_every_pair_that_comparing_all_finds(
    one: TerritoryRule, other: TerritoryRule
) -> None:
    mine = PlacedTerritory(territory_id=UUID(int=1), rule=one, assignments=(works(ALPHA),))
    yours = PlacedTerritory(territory_id=UUID(int=2), rule=other, assignments=(works(BOREALIS),))

    found = overlaps([mine], [yours])

    assert are_rivals(mine, yours)
    assert bool(found) == share_cells(one, other)


@given(rules, subjects)
def test_a_subject_is_found_under_the_keys_of_where_it_lies(
    rule: TerritoryRule, asked: Dimensions
) -> None:
    territory = PlacedTerritory(territory_id=UUID(int=1), rule=rule)
    keys = {asked.country, "*", str(asked.customer_id)}

    is_inside = bool(locate(asked, [territory]).territories)

    assert not is_inside or keys & lookup_keys(rule)
    assert has_cell(rule) or rule.included_customers
