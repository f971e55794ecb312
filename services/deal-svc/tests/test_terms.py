"""The window of exclusivity, to the later of doubtful hours."""

from datetime import UTC, date, datetime

from deal_svc.domain.terms import DEFAULT_TERMS, end_of_date, window_end


def test_the_window_ends_with_the_local_date_ninety_days_on() -> None:
    end = window_end(datetime(2027, 3, 1, 9, tzinfo=UTC), 90, "Europe/Berlin")

    assert (end.local_date, end.zone) == (date(2027, 5, 30), "Europe/Berlin")
    assert end.at == datetime(2027, 5, 30, 22, tzinfo=UTC)
    assert end.calendar_version.startswith("iana-20")


def test_the_local_date_counts_not_that_of_utc() -> None:
    end = window_end(datetime(2027, 3, 1, 23, 30, tzinfo=UTC), 90, "Europe/Berlin")

    assert end.local_date == date(2027, 5, 31)


def test_a_skipped_midnight_resolves_to_the_later_instant() -> None:
    # Beirut skips 00:00 to 01:00 on 28 March 2027.
    assert end_of_date(date(2027, 3, 27), "Asia/Beirut") == datetime(2027, 3, 27, 22, tzinfo=UTC)


def test_a_doubled_midnight_resolves_to_the_later_instant() -> None:
    # Havana's clocks go from 01:00 back to 00:00 on 7 November 2027.
    assert end_of_date(date(2027, 11, 6), "America/Havana") == datetime(2027, 11, 7, 5, tzinfo=UTC)


def test_the_default_terms_are_a_policy_with_a_version() -> None:
    assert (DEFAULT_TERMS.policy_version, DEFAULT_TERMS.discount_bp) == ("default-1", 800)
