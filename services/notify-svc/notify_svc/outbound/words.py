"""The words of e-mails by language: which there are, and a text and an HTML page made of them.

Values are strangers' words: in both they stay on their line, in HTML they are escaped.
"""

import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time
from babel.numbers import format_currency, format_decimal, format_percent, get_currency_precision
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

LANGUAGES = ("en", "de", "fr", "es")
SPOKEN_BY_ALL = "en"
LONGEST_SUBJECT = 120  # characters

Words = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Said:
    """One e-mail in words."""

    language: str
    subject: str
    text: str
    html: str


@cache
def words_in(language: str) -> Words:
    source = files("notify_svc.outbound").joinpath("words", f"{language}.toml")
    return tomllib.loads(source.read_text(encoding="utf-8"))


def language_for(*wanted: str) -> str:
    """The first of these BCP 47 tags whose language there are words in, else what all speak."""
    spoken = (tag.partition("-")[0].lower() for tag in wanted)
    return next((language for language in spoken if language in LANGUAGES), SPOKEN_BY_ALL)


def say(template: str, params: Mapping[str, str | int], **about: Any) -> Said:
    """`about`: name, occurred_at, time_zone, wanted (language tags), preferences_url,
    unsubscribe_url, is_mutable.

    Raises KeyError or UndefinedError where the words do not fit: a test finds that.
    """
    wanted = about.pop("wanted")
    language = language_for(*wanted)
    words = words_in(language)
    locale = locale_of(wanted[0], language)
    values = {name: plain(value) for name, value in (about | dict(params)).items()}
    if "reason" in values:  # a code that has no words yet, or is the vendor's own, stands as it is
        values["reason"] = words["reasons"].get(values["reason"], values["reason"])
    values["occurred_at"] = moment(about["occurred_at"], zone_of(about["time_zone"]), locale)
    phrases = {**words["phrases"], **words["kinds"][template]}
    in_text = {name: said(source, values, locale) for name, source in phrases.items()}
    in_html = {name: said_in_html(source, values, locale) for name, source in phrases.items()}
    subject = shortened(plain(in_text["subject"]))
    page = in_html | values | {"subject": subject, "language": language}
    return Said(
        language=language,
        subject=subject,
        text=environment(is_html=False).get_template("mail.txt.j2").render(in_text | values),
        html=environment(is_html=True).get_template("mail.html.j2").render(page),
    )


def said(source: str, values: Mapping[str, Any], locale: Locale) -> str:
    return compiled(source, is_html=False).render(values, locale=locale)


def said_in_html(source: str, values: Mapping[str, Any], locale: Locale) -> Markup:
    """To be put into the page as it is: the words are ours, the values were escaped."""
    return Markup(compiled(source, is_html=True).render(values, locale=locale))  # noqa: S704 - see above


def shortened(subject: str) -> str:
    if len(subject) <= LONGEST_SUBJECT:
        return subject
    return subject[: LONGEST_SUBJECT - 1].rstrip() + "…"


@cache
def compiled(source: str, *, is_html: bool) -> Template:
    return environment(is_html=is_html).from_string(source)


@cache
def environment(*, is_html: bool) -> Environment:
    found = Environment(
        autoescape=is_html,  # noqa: S701 - a text has nothing to escape
        undefined=StrictUndefined,
        loader=PackageLoader("notify_svc.outbound", "words"),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"money": money, "percent": percent, "day": day, "number": number}
    return found


def plain(value: Any) -> Any:
    """A text on one line, without what controls printers, headers or the direction of writing."""
    if not isinstance(value, str):
        return value
    kept = (" " if is_control(char) else char for char in value)
    return " ".join("".join(kept).split())


def is_control(char: str) -> bool:
    return unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} or char in DIRECTIONS


DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\ufeff")


def money(minor: int, currency: str, locale: Locale) -> str:
    """Minor units as people write the amount."""
    amount = Decimal(minor).scaleb(-get_currency_precision(currency))
    return format_currency(amount, currency, locale=locale)


def percent(basis_points: int, locale: Locale) -> str:
    return format_percent(Decimal(basis_points) / 10_000, locale=locale, decimal_quantization=False)


def day(iso_date: str, locale: Locale) -> str:
    return format_date(date.fromisoformat(iso_date), "long", locale=locale)


def moment(at: datetime, zone: ZoneInfo, locale: Locale) -> str:
    local = at.astimezone(zone)
    on, hour = format_date(local, "long", locale=locale), format_time(local, "short", locale=locale)
    return f"{on}, {hour} ({zone.key})"


def number(value: int, locale: Locale) -> str:
    return format_decimal(value, locale=locale)


def locale_of(tag: str, language: str) -> Locale:
    """The recipient's own way to write numbers and dates, if it is that of the words."""
    try:
        locale = Locale.parse(tag, sep="-")
    except (ValueError, UnknownLocaleError):
        return Locale(language)
    return locale if locale.language == language else Locale(language)


def zone_of(name: str | None) -> ZoneInfo:
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")
