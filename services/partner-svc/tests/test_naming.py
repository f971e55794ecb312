"""Which names look alike: a hint for a person, never a verdict."""

from uuid import UUID

import pytest

from partner_svc.domain.naming import MOST_SHOWN, KnownPartner, normalised, similar_partners

from .cast import ALPHA, BOREALIS


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("Hoffmann Logistik GmbH", "hoffmann logistik"),
        ("Müller & Söhne AG", "muller and sohne"),
        ("株式会社", "株式会社"),
        ("GmbH", "gmbh"),
    ],
)
def test_a_name_is_compared_without_accents_case_and_legal_form(name: str, plain: str) -> None:
    assert normalised(name) == plain


def test_a_live_partner_under_a_like_name_is_shown_with_its_points() -> None:
    known = [
        KnownPartner(partner_id=ALPHA, names=("Alpha Systemhaus GmbH", "Alphahaus")),
        KnownPartner(partner_id=BOREALIS, names=("Borealis Integration Inc.",)),
    ]

    similar = similar_partners(["Alpha Systemhaus AG"], known)

    assert [(partner.partner_id, partner.points) for partner in similar] == [(ALPHA, 1000)]


def test_the_most_alike_come_first_and_only_a_few() -> None:
    names = ["Alpha Systemhaus", *(f"Alpha Systemhaus{c}" for c in "bcdefgh")]
    known = [KnownPartner(partner_id=UUID(int=i), names=(n,)) for i, n in enumerate(names, 1)]

    similar = similar_partners(["Alpha Systemhaus"], known)

    assert similar[0].partner_id == UUID(int=1)
    assert len(similar) == MOST_SHOWN


def test_a_company_that_resembles_nobody_gives_no_hint() -> None:
    known = [KnownPartner(partner_id=BOREALIS, names=())]

    assert similar_partners(["Alpha Systemhaus"], known) == ()
