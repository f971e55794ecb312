"""Instants as clients write them: RFC 3339, kept in UTC."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BeforeValidator

FIRST_INSTANT = datetime.min.replace(tzinfo=UTC)
LAST_INSTANT = datetime.max.replace(tzinfo=UTC)


def _no_number(text: Any) -> Any:
    """An instant is written as one: a number would be read as seconds since 1970."""
    if isinstance(text, str) and text.lstrip("+-").replace(".", "", 1).isdecimal():
        raise ValueError("Write an instant as RFC 3339, with its offset")
    return text


def _in_utc(at: datetime) -> datetime:
    """With an offset the first and the last hours of all time have no equal in UTC."""
    try:
        return at.astimezone(UTC)
    except OverflowError:
        return FIRST_INSTANT if at.year == 1 else LAST_INSTANT


InstantAsked = Annotated[AwareDatetime, BeforeValidator(_no_number), AfterValidator(_in_utc)]
