"""What a partner may say when it registers a deal."""

from datetime import timedelta
from uuid import UUID

import pytest

from deal_svc.domain.registration import (
    AmountTooLarge,
    CloseDateOutOfRange,
    CodeUnknown,
    NamedLine,
    PartnerNotActive,
    ProductsUnknown,
    priced,
    refuse_impossible,
    total_of,
)
from prm_contracts.deals import DealLine

from .cast import BACKUP, HOFFMANN, NOW, SUSPENDED, registration

TODAY = NOW.date()
ZONE = "Europe/Berlin"


def test_a_line_takes_its_family_from_the_product() -> None:
    line = NamedLine(product_id=BACKUP, quantity=2, unit_price_minor=500)

    lines = priced([line], {BACKUP: "backup"})

    assert lines == (
        DealLine(product_id=BACKUP, family="backup", quantity=2, unit_price_minor=500),
    )
    assert total_of(lines) == 1000


def test_products_that_no_price_book_lists_are_named_in_the_refusal() -> None:
    line = NamedLine(product_id=UUID(int=9), quantity=2, unit_price_minor=500)

    with pytest.raises(ProductsUnknown) as refused:
        priced([line], {BACKUP: "backup"})
    assert refused.value.product_ids == (UUID(int=9),)


def test_an_amount_beyond_what_every_reader_keeps_exactly_is_refused() -> None:
    line = DealLine(product_id=BACKUP, family="backup", quantity=2, unit_price_minor=2**52)

    with pytest.raises(AmountTooLarge):
        total_of([line])


@pytest.mark.parametrize("days", [-1, 367])
def test_a_deal_closes_from_today_on_and_within_twelve_months(days: int) -> None:
    asked = registration(expected_close_on=TODAY + timedelta(days=days))

    with pytest.raises(CloseDateOutOfRange):
        refuse_impossible(asked, ZONE, NOW)


@pytest.mark.parametrize("days", [0, 366])
def test_the_first_and_the_last_day_are_within(days: int) -> None:
    refuse_impossible(registration(expected_close_on=TODAY + timedelta(days=days)), ZONE, NOW)


def test_today_is_that_of_the_partners_zone() -> None:
    asked = registration(expected_close_on=TODAY)
    evening = NOW.replace(hour=23, minute=30)  # half past midnight in Berlin

    with pytest.raises(CloseDateOutOfRange):
        refuse_impossible(asked, ZONE, evening)


@pytest.mark.parametrize(
    "changes", [{"currency": "XXQ"}, {"customer": HOFFMANN.model_copy(update={"country": "XX"})}]
)
def test_codes_exist_today(changes: dict[str, object]) -> None:
    with pytest.raises(CodeUnknown):
        refuse_impossible(registration(**changes), ZONE, NOW)


def test_a_suspended_partner_is_not_active() -> None:
    with pytest.raises(PartnerNotActive):
        SUSPENDED.refuse_unless_active()
