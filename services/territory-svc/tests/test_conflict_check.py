"""Given earlier answers, when a subject is checked, then a fact or nothing."""

from uuid import UUID

import pytest

from prm_contracts.territories import TerritoryConflictChecked
from territory_svc.domain.conflict_check import MATCHED, ConflictCheck, check_id
from territory_svc.domain.matching import locate

from .cast import ALPHA, DEAL, placed, subject, works

GERMANY = placed(1, works(ALPHA), geographies=("DE",))


def checked(alignment_version: int) -> ConflictCheck:
    check = ConflictCheck(check_id(DEAL, 1))
    check.complete(DEAL, 1, subject(), locate(subject(), [GERMANY]), alignment_version)
    return check


def test_a_check_says_by_which_map_it_found_what() -> None:
    located = locate(subject(), [GERMANY])

    check = checked(alignment_version=2)

    assert check.pending == [
        TerritoryConflictChecked(
            subject=DEAL,
            subject_version=1,
            alignment_version=2,
            dimensions=subject(),
            territories=located.territories,
            conflicts=(),
        )
    ]


@pytest.mark.parametrize("alignment_version", [1, 2])
def test_a_check_told_again_by_the_same_or_an_older_map_changes_nothing(
    alignment_version: int,
) -> None:
    check = checked(alignment_version=2)

    check.complete(DEAL, 1, subject(), locate(subject(), []), alignment_version)

    assert len(check.pending) == 1


def test_a_newer_map_answers_again() -> None:
    check = checked(alignment_version=2)

    check.complete(DEAL, 1, subject(), locate(subject(), []), 3)

    assert [fact.alignment_version for fact in check.pending] == [2, 3]


def test_a_check_before_the_first_alignment_answers_too() -> None:
    assert [fact.alignment_version for fact in checked(alignment_version=0).pending] == [0]


def test_a_check_names_a_bounded_number_of_territories() -> None:
    crowd = [placed(n, works(UUID(int=n + 1), "shared")) for n in range(MATCHED + 1)]
    check = ConflictCheck(check_id(DEAL, 1))

    check.complete(DEAL, 1, subject(), locate(subject(), crowd), 1)

    assert len(check.pending[0].territories) == MATCHED


def test_each_version_of_a_subject_is_checked_apart() -> None:
    assert check_id(DEAL, 1) != check_id(DEAL, 2)
