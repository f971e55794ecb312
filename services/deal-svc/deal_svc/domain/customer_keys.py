"""What tells customers apart: hard keys, names, and the profile of a known one."""

from dataclasses import dataclass
from uuid import UUID

from prm_contracts.facts import Value
from prm_contracts.values import Country, Domain, Duns, Name, PostalCode, Subdivision, TaxId

# Addresses there say nothing about the company.
PUBLIC_MAIL_DOMAINS = frozenset(
    {
        "aol.com", "bluewin.ch", "free.fr", "freenet.de", "gmail.com", "gmx.at", "gmx.ch", "gmx.de",
        "gmx.net", "googlemail.com", "hotmail.com", "icloud.com", "laposte.net", "libero.it",
        "live.com", "mail.ru", "me.com", "msn.com", "orange.fr", "outlook.com", "outlook.de",
        "proton.me", "protonmail.com", "qq.com", "t-online.de", "web.de", "yahoo.com", "yahoo.de",
        "yandex.ru", "zoho.com", "163.com",
    }
)  # fmt: skip


class NamedCustomer(Value):
    """An end customer as a partner names it."""

    name: Name
    country: Country
    subdivision: Subdivision | None = None
    postal_code: PostalCode | None = None
    domain: Domain | None = None
    duns: Duns | None = None
    tax_id: TaxId | None = None


@dataclass(frozen=True)
class Profile:
    """All that is known of a customer; `names` are normalised, `domains` no public ones."""

    customer_id: UUID
    names: frozenset[str]
    domains: frozenset[str] = frozenset()
    duns: frozenset[str] = frozenset()
    tax_ids: frozenset[str] = frozenset()
    postal_codes: frozenset[str] = frozenset()

    def contradicts(self, named: NamedCustomer) -> bool:
        """Another tax id or D-U-N-S number than the known ones: a like name is not enough."""
        return (bool(self.tax_ids and named.tax_id and named.tax_id not in self.tax_ids)) or bool(
            self.duns and named.duns and named.duns not in self.duns
        )
