"""Every kind in every language, numbers and dates as its readers write them, and the way back."""

from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from jinja2 import UndefinedError

from notify_svc.outbound.letters import GROUPS
from notify_svc.outbound.words import LANGUAGES, Said, language_for, say, words_in
from notify_svc.projections import TEXTS
from prm_contracts.deals import RejectionReason

PARAMS: dict[str, str | int] = {
    "customer": "Hoffmann Logistik GmbH",
    "exclusive_until": "2027-05-31",
    "discount_bp": 850,
    "amount_minor": 18_000_050,
    "currency": "EUR",
    "place": 1200,
    "reason": "unpaid",
    "rule": "territory",
}


def said(template: str, *wanted: str, zone: str | None = None, **params: Any) -> Said:
    return say(
        template,
        PARAMS | params,
        name="Ana Núñez",
        occurred_at=datetime(2027, 3, 1, 22, 30, tzinfo=UTC),
        time_zone=zone,
        wanted=wanted,
        preferences_url=None,
        unsubscribe_url=None,
        is_mutable=template in GROUPS,
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_words_for_every_kind(language: str) -> None:
    words, english = words_in(language), words_in("en")

    assert words["phrases"].keys() == english["phrases"].keys()
    assert words["kinds"].keys() == TEXTS.keys()
    for kind, entries in words["kinds"].items():
        assert entries.keys() == {"subject", "text"}
        assert language == "en" or entries != english["kinds"][kind]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_words_for_every_reason_of_a_rejection(language: str) -> None:
    reasons, english = words_in(language)["reasons"], words_in("en")["reasons"]

    assert reasons.keys() == set(get_args(RejectionReason))
    assert language == "en" or not set(reasons.values()) & set(english.values())
    for code, words in reasons.items():
        assert f": {words} (" in said("deal-rejected", language, reason=code).text


def test_a_reason_without_words_is_told_by_its_code() -> None:
    assert "Reason: unpaid-fees." in said("partner-suspended", "en", reason="unpaid-fees").text


def test_only_kinds_that_there_are_can_be_muted() -> None:
    assert GROUPS.keys() <= TEXTS.keys()


@pytest.mark.parametrize(
    ("wanted", "language"),
    [(("de-AT", "fr"), "de"), (("nl", "fr-CH"), "fr"), (("nl", "pl"), "en"), (("ES", "de"), "es")],
)
def test_who_has_no_words_of_their_own_gets_the_vendors_else_english(
    wanted: tuple[str, ...], language: str
) -> None:
    assert language_for(*wanted) == language


@pytest.mark.parametrize(
    ("wanted", "amount"),
    [
        ("en", "€180,000.50"),
        ("de", "180.000,50\xa0€"),
        ("de-CH", "EUR\xa0180\u2019000.50"),
        ("fr", "180\u202f000,50\xa0€"),
        ("es", "180.000,50\xa0€"),
    ],
)
def test_money_is_written_as_the_recipient_writes_it(wanted: str, amount: str) -> None:
    assert amount in said("deal-decision-due", wanted).text


def test_money_without_minor_units_is_whole() -> None:
    assert "¥5,000 waits" in said("deal-decision-due", "en", amount_minor=5000, currency="JPY").text


def test_dates_and_rates_are_written_as_the_recipient_writes_them() -> None:
    text = said("deal-approved", "de", zone="Europe/Berlin").text

    assert "bis zum 31. Mai 2027" in text
    assert "8,5\xa0%" in text
    assert "1. März 2027, 23:30 (Europe/Berlin)" in text


@pytest.mark.parametrize("zone", [None, "Mars/Olympus", "../etc/passwd"])
def test_where_no_zone_is_known_it_is_utc(zone: str | None) -> None:
    assert "22:30 (UTC)" in said("welcome", "de", zone=zone).text


def test_a_parameter_that_is_missing_is_no_empty_word() -> None:
    with pytest.raises(UndefinedError):
        say(
            "deal-queued",
            {"customer": "X"},
            name="",
            occurred_at=datetime(2027, 3, 1, tzinfo=UTC),
            time_zone=None,
            wanted=("en",),
            preferences_url=None,
            unsubscribe_url=None,
            is_mutable=True,
        )
