"""An example of each fact of deal-svc on customers, their keys, and products."""

from prm_contracts.customers import (
    CustomerKeysAdded,
    CustomerResolved,
    DealKeyReleased,
    DealKeyReserved,
)
from prm_contracts.examples.cast import BACKUP, HOFFMANN, OPERATIONS
from prm_contracts.facts import Fact
from prm_contracts.price_books import FamilyDefined, PriceBookOpened, ProductListed
from prm_contracts.values import ExternalId

CUSTOMERS: tuple[Fact, ...] = (
    CustomerResolved(
        name="Hoffmann Logistik GmbH",
        normalised_name="hoffmann logistik",
        normaliser_version="1",
        country="DE",
        subdivision="DE-BY",
        postal_code="80331",
        domain="hoffmann-logistik.example",
        duns="341234567",
        tax_id="DE136695976",
        external_ids=(ExternalId(system="erp", id="700412"),),
    ),
    CustomerKeysAdded(normalised_name="hoffmann logistics", tax_id="DE136695976"),
)
DEAL_RESERVATIONS: tuple[Fact, ...] = (
    DealKeyReserved(scope="duns", held_by=HOFFMANN),
    DealKeyReleased(scope="duns", held_by=HOFFMANN),
)
PRICE_BOOKS: tuple[Fact, ...] = (
    PriceBookOpened(
        code="emea-2027", name="Price book EMEA 2027", currency="EUR", opened_by=OPERATIONS
    ),
    FamilyDefined(family="backup", name="Backup", defined_by=OPERATIONS),
    ProductListed(
        product_id=BACKUP,
        sku="bkp-100",
        name="Backup for 100 machines",
        family="backup",
        unit="year",
        list_price_minor=180_000,
        external_ids=(ExternalId(system="erp", id="10-4711"),),
        listed_by=OPERATIONS,
    ),
)
