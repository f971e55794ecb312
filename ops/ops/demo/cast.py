"""Who plays in the story and with what: partners, products, territories, customers."""

from dataclasses import dataclass
from random import Random
from typing import Any

VENDOR = "Meridian Cloud"
FAMILIES = {"backup": "Backup and recovery", "security": "Security", "network": "Networking"}
LIST_PRICES = {"backup": 1_200_00, "security": 900_00, "network": 2_500_00}  # minor units, EUR


@dataclass(frozen=True)
class CastPartner:
    """`key`: how the story calls it."""

    key: str
    legal_name: str
    country: str
    time_zone: str
    kind: str
    currency: str = "EUR"


PARTNERS = (
    CastPartner("alpha", "Alpha Systems GmbH", "DE", "Europe/Berlin", "reseller"),
    CastPartner("borealis", "Borealis Integration Inc", "US", "America/New_York", "integrator"),
    CastPartner("cobalt", "Cobalt Distribution SE", "DE", "Europe/Berlin", "distributor"),
    CastPartner("dune", "Dune Réseaux SARL", "FR", "Europe/Paris", "reseller"),
    CastPartner("estrella", "Estrella Sistemas SL", "ES", "Europe/Madrid", "reseller"),
    CastPartner("fjord", "Fjord Data AS", "NO", "Europe/Oslo", "service-provider"),
    CastPartner("granit", "Granit Informatik AG", "CH", "Europe/Zurich", "reseller"),
    CastPartner("habsburg", "Habsburg Datentechnik GmbH", "AT", "Europe/Vienna", "reseller"),
    CastPartner("isar", "Isar Netzwerke GmbH", "DE", "Europe/Berlin", "integrator"),
    CastPartner("jade", "Jade Computing Ltd", "GB", "Europe/London", "reseller"),
    CastPartner("kestrel", "Kestrel Networks LLC", "US", "America/Los_Angeles", "integrator"),
    CastPartner("laguna", "Laguna Informatica SRL", "IT", "Europe/Rome", "referral"),
)


@dataclass(frozen=True)
class CastTerritory:
    """`families` empty: all of them. `assigned`: (partner, role)."""

    code: str
    name: str
    geographies: tuple[str, ...]
    assigned: tuple[tuple[str, str], ...]
    families: tuple[str, ...] = ()
    industries: tuple[str, ...] = ()
    size_bands: tuple[str, ...] = ()


def shared(*partners: str) -> tuple[tuple[str, str], ...]:
    return tuple((partner, "shared") for partner in partners)


def exclusive(partner: str) -> tuple[tuple[str, str], ...]:
    return ((partner, "exclusive"),)


TERRITORIES = (
    CastTerritory(
        "de-backup", "Germany, backup", ("DE",), shared("alpha", "cobalt", "isar"), ("backup",)
    ),
    CastTerritory(
        "de-security", "Germany, security", ("DE",), exclusive("alpha"), families=("security",)
    ),
    CastTerritory(
        "de-network-industry",
        "Germany, networking in manufacturing",
        ("DE",),
        exclusive("isar"),
        ("network",),
        ("31", "32", "33"),
    ),
    CastTerritory("fr", "France", ("FR",), shared("dune", "cobalt")),
    CastTerritory("es", "Spain", ("ES",), exclusive("estrella")),
    CastTerritory("no", "Norway", ("NO",), exclusive("fjord")),
    CastTerritory("ch", "Switzerland", ("CH",), shared("granit", "isar")),
    CastTerritory("at", "Austria", ("AT",), exclusive("habsburg")),
    CastTerritory("gb", "United Kingdom", ("GB",), shared("jade")),
    CastTerritory(
        "us-east", "New York and Massachusetts", ("US-NY", "US-MA"), exclusive("borealis")
    ),
    CastTerritory("us-west", "California and Washington", ("US-CA", "US-WA"), exclusive("kestrel")),
    CastTerritory(
        "it-small",
        "Italy, small companies",
        ("IT",),
        exclusive("laguna"),
        size_bands=("micro", "small"),
    ),
)

_SYLLABLES = [
    "bar",
    "bel",
    "cor",
    "dan",
    "del",
    "fen",
    "gal",
    "hol",
    "jor",
    "kar",
    "lin",
    "mar",
    "nor",
    "ost",
    "pol",
    "quin",
    "ros",
    "sal",
    "tor",
    "ulm",
    "vik",
    "wes",
    "zan",
]


@dataclass(frozen=True)
class Round:
    """One playing of the story. A later one has other customers, so that both can stand beside
    each other; its partners, products and territories carry its number.
    """

    number: int

    def code(self, code: str) -> str:
        return code if self.number == 1 else f"{code}-{self.number}"

    def partner_name(self, partner: CastPartner) -> str:
        return partner.legal_name if self.number == 1 else f"{partner.legal_name} {self.number}"

    def customer(self, first_told: str, trade: str) -> str:
        """The name as it stands in the story, or for a later round another of the same trade."""
        if self.number == 1:
            return f"{first_told} {trade}"
        chance = Random(f"{self.number} {first_told}")  # noqa: S311 - names, not secrets
        root = "".join(chance.choice(_SYLLABLES) for _ in range(3)).capitalize()
        return f"{root} {trade}"

    def profile(self, partner: CastPartner) -> dict[str, Any]:
        """The body of its application."""
        return {
            "legal_name": self.partner_name(partner),
            "country": partner.country,
            "types": [partner.kind],
            "currency": partner.currency,
            "time_zone": partner.time_zone,
            "domains": [f"{self.code(partner.key)}.example"],
            "external_ids": [{"system": "crm", "id": self.code(partner.key)}],
        }

    def territory(self, cell: CastTerritory, ids: dict[str, str]) -> dict[str, Any]:
        """Its definition for an alignment; families are always named, so that rounds part."""
        return {
            "code": self.code(cell.code),
            "name": cell.name,
            "rule": {
                "geographies": cell.geographies,
                "families": [self.code(family) for family in cell.families or FAMILIES],
                "industries": cell.industries,
                "size_bands": cell.size_bands,
            },
            "assignments": [
                {"partner_id": ids[partner], "role": role} for partner, role in cell.assigned
            ],
        }
