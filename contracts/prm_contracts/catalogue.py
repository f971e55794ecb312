"""Every topic of the platform, by owner: what an admin creates and an integrator finds."""

from typing import Any

from prm_contracts.customers import CUSTOMERS, DEAL_RESERVATIONS
from prm_contracts.deals import DEALS, EXCLUSIVITIES
from prm_contracts.facts import Topic
from prm_contracts.notifications import NOTIFICATIONS
from prm_contracts.partners import CONTACTS, PARTNER_RESERVATIONS, PARTNERS
from prm_contracts.price_books import PRICE_BOOKS
from prm_contracts.territories import (
    ALIGNMENTS,
    CONFLICT_CHECKS,
    TERRITORIES,
    TERRITORY_MAPS,
    TERRITORY_RESERVATIONS,
)

TOPICS: tuple[Topic[Any], ...] = (
    PARTNERS,
    CONTACTS,
    PARTNER_RESERVATIONS,
    DEALS,
    EXCLUSIVITIES,
    CUSTOMERS,
    PRICE_BOOKS,
    DEAL_RESERVATIONS,
    TERRITORIES,
    ALIGNMENTS,
    TERRITORY_MAPS,
    CONFLICT_CHECKS,
    TERRITORY_RESERVATIONS,
    NOTIFICATIONS,
)


def topics_of(service: str) -> tuple[Topic[Any], ...]:
    """The topics that this service alone writes."""
    return tuple(topic for topic in TOPICS if topic.owner == service)
