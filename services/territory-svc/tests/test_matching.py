"""Given territories, when a subject is located, then where it lies and what conflicts."""

from uuid import UUID

import pytest

from prm_contracts.territories import Dimensions
from territory_svc.domain.cells import PlacedTerritory
from territory_svc.domain.matching import Located, locate

from .cast import ALPHA, BOREALIS, COBALT, HOFFMANN, placed, subject, works


def kinds(located: Located) -> list[str]:
    return [conflict.kind for conflict in located.conflicts]


def places(located: Located) -> list[int]:
    return [territory.territory_id.int - 100 for territory in located.territories]


def test_a_subject_in_the_partners_own_exclusive_territory_has_no_conflict() -> None:
    germany = placed(1, works(ALPHA), geographies=("DE",))

    located = locate(subject(), [germany])

    assert (places(located), kinds(located)) == ([1], [])


def test_a_cell_without_a_territory_is_unassigned() -> None:
    france = placed(1, works(ALPHA), geographies=("FR",))

    located = locate(subject(), [france])

    assert (places(located), kinds(located)) == ([], ["UNASSIGNED_CELL"])
    assert located.conflicts[0].resolution == "flag"


def test_a_territory_that_nobody_works_is_unassigned() -> None:
    assert kinds(locate(subject(), [placed(1, geographies=("DE",))])) == ["UNASSIGNED_CELL"]


def test_a_territory_with_an_overlay_alone_is_unassigned_to_others() -> None:
    germany = placed(1, works(BOREALIS, "overlay"), geographies=("DE",))

    assert kinds(locate(subject(), [germany])) == ["UNASSIGNED_CELL"]


def test_a_cell_that_another_partner_holds_exclusively_is_refused() -> None:
    germany = placed(1, works(BOREALIS), geographies=("DE",))

    [conflict] = locate(subject(), [germany]).conflicts

    assert (conflict.kind, conflict.resolution) == ("EXCLUSIVE_OTHER", "reject")
    assert conflict.rule_id == "territory.exclusive-other"


def test_evidence_never_names_a_partner() -> None:
    germany = placed(1, works(BOREALIS), geographies=("DE",))

    [conflict] = locate(subject(), [germany]).conflicts

    assert conflict.evidence == {"families": "backup", "territories": 1}


def test_a_cell_shared_by_others_is_outside_the_partners_territory() -> None:
    shared = [works(BOREALIS, "shared"), works(COBALT, "shared")]

    located = locate(subject(), [placed(1, *shared, geographies=("DE",))])

    assert kinds(located) == ["OUTSIDE_TERRITORY"]
    assert located.conflicts[0].resolution == "reject"


def test_a_cell_shared_with_others_passes_with_a_note() -> None:
    shared = [works(ALPHA, "shared"), works(BOREALIS, "shared")]

    located = locate(subject(), [placed(1, *shared, geographies=("DE",))])

    assert kinds(located) == ["SHARED_OVERLAP"]
    assert located.conflicts[0].resolution == "pass"


def test_an_overlay_works_beside_the_exclusive_partner() -> None:
    germany = placed(1, works(BOREALIS), works(ALPHA, "overlay"), geographies=("DE",))

    assert kinds(locate(subject(), [germany])) == ["SHARED_OVERLAP"]


def test_a_shared_partner_does_not_reach_into_anothers_exclusive_territory() -> None:
    territories = [
        placed(1, works(BOREALIS), geographies=("DE-BY",)),
        placed(2, works(ALPHA, "shared"), geographies=("DE",)),
    ]

    located = locate(subject(subdivision="DE-BY"), territories)

    assert kinds(located) == ["EXCLUSIVE_OTHER"]


def test_a_customer_named_by_another_partner_is_refused_whatever_the_cell_says() -> None:
    territories = [
        placed(1, works(ALPHA), geographies=("DE",)),
        placed(2, works(BOREALIS), included_customers=(HOFFMANN,)),
    ]

    located = locate(subject(), territories)

    assert (places(located), kinds(located)) == ([2], ["NAMED_ACCOUNT_OTHER"])
    assert located.territories[0].is_named_account


def test_a_customer_named_by_the_vendor_alone_is_refused() -> None:
    direct = placed(1, included_customers=(HOFFMANN,))

    assert kinds(locate(subject(), [direct])) == ["NAMED_ACCOUNT_OTHER"]


def test_a_customer_named_by_the_partner_is_its_own_in_anothers_cell() -> None:
    territories = [
        placed(1, works(BOREALIS), geographies=("DE",)),
        placed(2, works(ALPHA), included_customers=(HOFFMANN,)),
    ]

    assert kinds(locate(subject(), territories)) == []


def test_an_exclusion_beats_an_inclusion() -> None:
    both = placed(1, works(ALPHA), included_customers=(HOFFMANN,), excluded_customers=(HOFFMANN,))

    assert kinds(locate(subject(), [both])) == ["UNASSIGNED_CELL"]


def test_an_excluded_customer_is_not_in_the_cell() -> None:
    germany = placed(1, works(BOREALIS), geographies=("DE",), excluded_customers=(HOFFMANN,))

    assert kinds(locate(subject(), [germany])) == ["UNASSIGNED_CELL"]


def test_a_list_of_named_accounts_is_not_the_whole_world() -> None:
    named = placed(1, works(BOREALIS), included_customers=(UUID(int=99),))

    assert kinds(locate(subject(), [named])) == ["UNASSIGNED_CELL"]


def test_a_rule_with_every_dimension_open_covers_the_world() -> None:
    assert kinds(locate(subject(), [placed(1, works(ALPHA))])) == []


IN_TREE = [
    (("DE",), {}, True),
    (("DE",), {"subdivision": "DE-BY"}, True),
    (("DE-BY",), {"subdivision": "DE-BY"}, True),
    (("DE-BE",), {"subdivision": "DE-BY"}, False),
    (("FR",), {}, False),
]


@pytest.mark.parametrize(("geographies", "known", "is_inside"), IN_TREE)
def test_a_country_contains_its_subdivisions(
    geographies: tuple[str, ...], known: dict[str, str], is_inside: bool
) -> None:
    territory = placed(1, works(ALPHA), geographies=geographies)

    located = locate(subject(**known), [territory])

    assert places(located) == [1] * is_inside


NARROWED: list[tuple[dict[str, tuple[str, ...]], dict[str, str], bool]] = [
    ({"industries": ("54",)}, {"industry": "541512"}, True),
    ({"industries": ("5415",)}, {"industry": "5417"}, False),
    ({"size_bands": ("small", "medium")}, {"size_band": "medium"}, True),
    ({"size_bands": ("small",)}, {"size_band": "large"}, False),
    ({"channels": ("resale",)}, {"channel": "resale"}, True),
    ({"channels": ("resale",)}, {"channel": "referral"}, False),
    ({"families": ("backup", "storage")}, {}, True),
    ({"families": ("storage",)}, {}, False),
]


@pytest.mark.parametrize(("rule", "known", "is_inside"), NARROWED)
def test_every_dimension_narrows_the_cell(
    rule: dict[str, tuple[str, ...]], known: dict[str, str], is_inside: bool
) -> None:
    located = locate(subject(**known), [placed(1, works(ALPHA), **rule)])

    assert places(located) == [1] * is_inside
    assert located.missing == ()


UNKNOWN: list[tuple[dict[str, tuple[str, ...]], dict[str, str], str]] = [
    ({"geographies": ("DE-BY",)}, {}, "subdivision"),
    ({"industries": ("54",)}, {}, "industry"),
    ({"industries": ("5415",)}, {"industry": "54"}, "industry"),
    ({"size_bands": ("small",)}, {}, "size_band"),
    ({"channels": ("resale",)}, {}, "channel"),
]


@pytest.mark.parametrize(("rule", "known", "missing"), UNKNOWN)
def test_an_unknown_value_matches_open_dimensions_only_and_is_named(
    rule: dict[str, tuple[str, ...]], known: dict[str, str], missing: str
) -> None:
    located = locate(subject(**known), [placed(1, works(ALPHA), **rule)])

    assert (kinds(located), located.missing) == (["UNASSIGNED_CELL"], (missing,))
    assert located.conflicts[0].evidence["missing"] == missing


def test_an_unknown_value_is_not_missed_where_a_known_one_decides() -> None:
    abroad = placed(1, works(ALPHA), geographies=("FR",), industries=("54",))

    assert locate(subject(), [abroad]).missing == ()


def test_each_family_is_a_cell_of_its_own() -> None:
    territories = [
        placed(1, works(ALPHA), families=("backup",)),
        placed(2, works(BOREALIS), families=("storage",)),
    ]
    both = subject(families=("backup", "storage"))

    [conflict] = locate(both, territories).conflicts

    assert (conflict.kind, conflict.evidence["families"]) == ("EXCLUSIVE_OTHER", "storage")


def test_an_unassigned_family_does_not_excuse_one_that_lies_outside() -> None:
    shared = placed(1, works(BOREALIS, "shared"), families=("backup",))
    both = subject(families=("backup", "storage"))

    assert kinds(locate(both, [shared])) == ["OUTSIDE_TERRITORY", "UNASSIGNED_CELL"]


def test_the_order_of_territories_does_not_matter() -> None:
    territories = [placed(n, works(ALPHA, "shared"), geographies=("DE",)) for n in range(4)]
    asked: Dimensions = subject()

    there: list[PlacedTerritory] = list(reversed(territories))

    assert locate(asked, territories) == locate(asked, there)
