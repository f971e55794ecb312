"""Who is there before every run begins: two partners, their people, a product and a map."""

import asyncio
from datetime import timedelta
from typing import Any, cast
from uuid import UUID, uuid5

from chassis.context import Actor
from deal_svc import application as deals
from deal_svc.domain.customer_keys import NamedCustomer
from deal_svc.domain.price_book import NewProduct
from partner_svc import application as partners
from partner_svc.domain.contact import Invitation, Limit
from partner_svc.domain.partner import Profile
from prm_contracts.facts import Personal
from prm_contracts.territories import Assignment, TerritoryDefinition, TerritoryRule
from prm_contracts.values import Role
from territory_svc import application as territories

from .people import People

MANAGER = Actor(UUID(int=13), roles=frozenset({"channel-account-manager"}))
OPERATIONS = Actor(UUID(int=16), roles=frozenset({"channel-operations"}))
SERVICE = Actor(UUID(int=17), roles=frozenset({"platform-operator"}))
NAMES = ("alpha", "borealis")
BACKUP = UUID(int=41)
CUSTOMERS = tuple(
    NamedCustomer(name=name, country="DE", postal_code=code)
    for name, code in (
        ("Hoffmann Logistik GmbH", "80331"),
        ("Nordwind Energie AG", "20095"),
        ("Zabel Maschinenbau KG", "70173"),
        ("Quellwasser Apotheken", "01067"),  # only those ask for it who succeed each other
    )
)
SMALL, LARGE = 4_000_000, 9_000_000  # a rule approves the one, a person decides on the other
WINDOW = timedelta(days=92)  # by then an exclusivity has expired


def partner_id(name: str) -> UUID:
    """As `register_partner` derives it from the command of the prologue."""
    return uuid5(uuid5(OPERATIONS.id, f"register {name}"), "partner")


def seller(name: str) -> Actor:
    roles = frozenset({"partner-seller", "partner-admin"})
    return Actor(uuid5(UUID(int=1), name), partner_id(name), roles)


def profile(name: str, **more: Any) -> Profile:
    return Profile(
        legal_name=f"{name} GmbH",
        country="DE",
        types=("reseller",),
        currency="EUR",
        time_zone="Europe/Berlin",
        **more,
    )


def personal(text: str) -> Personal:
    return Personal(subject=UUID(int=51), key=UUID(int=52), box=text)


def invitation(actor: Actor) -> Invitation:
    return Invitation(
        side="partner" if actor.tenant_id else "vendor",
        partner_id=actor.tenant_id,
        name=personal("name"),
        email=personal("address"),
        email_key=uuid5(actor.id, "address"),
        language="en",
        roles=cast(tuple[Role, ...], tuple(sorted(actor.roles))),
    )


async def prologue(people: People) -> None:
    """Two active partners, their sellers, the vendor's people, a product and a map."""
    for name in NAMES:
        actor, its_id = OPERATIONS, partner_id(name)
        await people.tell(
            "partner-svc", actor, f"register {name}", partners.register_partner, profile(name)
        )
        await people.tell(
            "partner-svc", MANAGER, f"approve {name}", partners.approve_partner, its_id, "2027-1"
        )
    for actor in (MANAGER, OPERATIONS, *map(seller, NAMES)):
        limits = (Limit(kind="deal-approval", currency="EUR", amount_minor=20_000_000),)
        await people.tell(
            "partner-svc",
            SERVICE,
            f"admit {actor.id}",
            partners.admit_contact,
            actor.id,
            invitation(actor),
            () if actor.tenant_id else limits,
        )
    await price_book(people)
    await switch_map(people, "first")


async def price_book(people: People) -> None:
    book = await people.tell(
        "deal-svc", OPERATIONS, "open", deals.open_price_book, "emea", "EMEA", "EUR"
    )
    assert book
    [book_id, *_] = [its_id for its_id, _ in book.versions]
    family, name = "backup", "Backup"
    await people.tell("deal-svc", OPERATIONS, "family", deals.define_family, book_id, family, name)
    product = NewProduct(
        sku="backup", name="Backup", family="backup", unit="licence", list_price_minor=100
    )
    await people.tell(
        "deal-svc", OPERATIONS, "product", deals.list_product, book_id, BACKUP, product
    )


async def switch_map(people: People, name: str) -> None:
    """Both partners share the market; the next map calls the territory otherwise."""
    shared = TerritoryDefinition(
        code=f"de-{name}",
        name=name,
        rule=TerritoryRule(geographies=("DE",), families=("backup",)),
        assignments=tuple(Assignment(partner_id=partner_id(each), role="shared") for each in NAMES),
    )
    service = "territory-svc"
    changes = (territories.Change(definition=shared),)
    draft = await people.tell(
        service, MANAGER, f"draft {name}", territories.draft_alignment, name, changes
    )
    assert draft
    its_id = draft.versions[0][0]
    await people.tell(service, MANAGER, f"validate {name}", territories.validate_alignment, its_id)
    while not await people.tell(
        service, OPERATIONS, people.anew(f"approve {name}"), territories.approve_alignment, its_id
    ):
        await asyncio.sleep(1)  # its partners are not known there yet
    await people.tell(
        service, OPERATIONS, f"activate {name}", territories.activate_alignment, its_id
    )
