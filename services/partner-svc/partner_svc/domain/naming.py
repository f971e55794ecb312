"""How alike two companies' names are: points for a person's eye, never a verdict."""

import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from uuid import UUID

import cleanco
from rapidfuzz.fuzz import WRatio

from prm_contracts.facts import Value
from prm_contracts.partners import SimilarPartner

# WRatio after cleanco separates generated company names best at 92 of 100.
SIMILAR_FROM = 920
MOST_SHOWN = 5


class KnownPartner(Value):
    """A live partner of the same country, under all its names."""

    partner_id: UUID
    names: tuple[str, ...]


@lru_cache(maxsize=65_536)  # each registration compares itself with all partners of its country
def normalised(name: str) -> str:
    """Without accents, case, legal form; the name itself where nothing else is left."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode() or name
    spelt = plain.casefold().replace("&", " and ")
    return str(cleanco.basename(spelt)) or spelt


def similar_partners(
    names: Iterable[str], known: Iterable[KnownPartner]
) -> tuple[SimilarPartner, ...]:
    """The most alike first, at most `MOST_SHOWN`; points are integers of 1,000."""
    asked = [normalised(name) for name in names]
    found = [
        SimilarPartner(partner_id=partner.partner_id, points=points)
        for partner in known
        if (points := _points(asked, [normalised(name) for name in partner.names])) >= SIMILAR_FROM
    ]
    return tuple(sorted(found, key=lambda s: (-s.points, s.partner_id))[:MOST_SHOWN])


def _points(ours: list[str], theirs: list[str]) -> int:
    return max((round(10 * WRatio(a, b)) for a in ours for b in theirs), default=0)
