"""An example of every fact, realistic and valid: published with its schema."""

from prm_contracts.examples.customers import CUSTOMERS, DEAL_RESERVATIONS, PRICE_BOOKS
from prm_contracts.examples.deals import DEALS, EXCLUSIVITIES
from prm_contracts.examples.notifications import NOTIFICATIONS
from prm_contracts.examples.partners import CONTACTS, PARTNER_RESERVATIONS, PARTNERS
from prm_contracts.examples.territories import (
    ALIGNMENTS,
    CONFLICT_CHECKS,
    TERRITORIES,
    TERRITORY_MAPS,
    TERRITORY_RESERVATIONS,
)
from prm_contracts.facts import Fact

EXAMPLES: dict[str, Fact] = {
    fact.fact_type: fact
    for fact in (
        *PARTNERS,
        *CONTACTS,
        *PARTNER_RESERVATIONS,
        *DEALS,
        *EXCLUSIVITIES,
        *CUSTOMERS,
        *PRICE_BOOKS,
        *DEAL_RESERVATIONS,
        *TERRITORIES,
        *ALIGNMENTS,
        *TERRITORY_MAPS,
        *CONFLICT_CHECKS,
        *TERRITORY_RESERVATIONS,
        *NOTIFICATIONS,
    )
}
