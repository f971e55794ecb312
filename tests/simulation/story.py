"""What people do in a run: partners race, withdraw, are suspended; maps switch; time passes."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from datetime import date, timedelta
from random import Random
from typing import Any, cast
from uuid import UUID, uuid5

from chassis.context import Actor
from deal_svc import application as deals
from deal_svc.domain.customer_keys import NamedCustomer
from deal_svc.domain.price_book import NewProduct
from deal_svc.domain.registration import NamedLine, Registration
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


# --- before every run, once --------------------------------------------------------------------


async def prologue(people: People) -> None:
    """Two active partners, their sellers, the vendor's people, a product and a map."""
    for name in NAMES:
        profile = Profile(
            legal_name=f"{name} GmbH",
            country="DE",
            types=("reseller",),
            currency="EUR",
            time_zone="Europe/Berlin",
        )
        actor, its_id = OPERATIONS, partner_id(name)
        await people.tell(
            "partner-svc", actor, f"register {name}", partners.register_partner, profile
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


# --- the story of one seed ---------------------------------------------------------------------


@dataclass(frozen=True)
class Wish:
    """A deal that somebody will register."""

    number: int
    partner: str
    customer: NamedCustomer
    price_minor: int
    is_withdrawn: bool = False


@dataclass(frozen=True)
class Script:
    wishes: tuple[Wish, ...]
    is_map_switched: bool = False
    is_one_suspended: bool = False
    ends_after: timedelta = timedelta()
    moment: int = 0  # seconds after the begin at which much happens at once

    @classmethod
    def drawn(cls, rng: Random) -> "Script":
        wishes = [
            Wish(
                number,
                rng.choice(NAMES),
                rng.choice(CUSTOMERS[: rng.choice((1, 1, 2, 3))]),
                rng.choice((SMALL, SMALL, LARGE)),
                is_withdrawn=rng.random() < 0.3,
            )
            for number in range(rng.choice((1, 2, 2, 3)))
        ]
        return cls(
            tuple(wishes),
            is_map_switched=rng.random() < 0.15,
            is_one_suspended=rng.random() < 0.2,
            ends_after=WINDOW if rng.random() < 0.4 else timedelta(),
            moment=rng.choice((0, 2, 10)),
        )

    def at_its_fullest(self) -> "Script":
        """With all that can happen."""
        return replace(self, is_map_switched=True, is_one_suspended=True, ends_after=WINDOW)


ONE_DEAL = Script((Wish(0, "alpha", CUSTOMERS[0], SMALL),))


@dataclass
class Lives:
    people: People
    script: Script

    def all(self) -> list[Coroutine[Any, Any, None]]:
        lives = [self.deal(wish) for wish in self.script.wishes]
        if self.script.is_map_switched:
            lives.append(self.map_switches())
        if self.script.is_one_suspended:
            lives.append(self.suspended())
        if self.script.ends_after:
            lives.append(self.time_passes())
        return lives

    async def soon(self) -> None:
        """At once, or at the moment when much happens."""
        await asyncio.sleep(self.people.rng.choice((0, self.script.moment)))

    async def map_switches(self) -> None:
        await self.soon()
        await switch_map(self.people, "second")

    async def deal(self, wish: Wish) -> None:
        await self.soon()
        if deal_id := await self.register(wish, f"register {wish.number}"):
            await self.go_on(wish, deal_id)

    async def register(self, wish: Wish, key: str) -> UUID | None:
        who = seller(wish.partner)
        line = NamedLine(product_id=BACKUP, quantity=1, unit_price_minor=wish.price_minor)
        asked = Registration(
            customer=wish.customer,
            lines=(line,),
            currency="EUR",
            expected_close_on=date(2027, 9, 30),
            sales_activity=personal("two workshops"),
        )
        saved = await self.people.tell("deal-svc", who, key, deals.register_deal, asked)
        return saved.versions[0][0] if saved else None

    async def go_on(self, wish: Wish, deal_id: UUID) -> None:
        who = seller(wish.partner)
        if wish.is_withdrawn:  # at once, or once it holds its line
            await self.soon()
            key = f"withdraw {wish.number}"
            await self.people.tell("deal-svc", who, key, deals.withdraw_deal, deal_id, None)
        elif wish.price_minor == LARGE:
            for _ in range(self.people.rng.randint(0, 3)):
                await asyncio.sleep(self.people.rng.choice((0, 0.5, 1)))
                key = self.people.anew(f"approve {wish.number}")
                await self.people.tell(
                    "deal-svc", MANAGER, key, deals.approve_deal, deal_id, unchecked=False
                )

    async def suspended(self) -> None:
        """And reinstated: what was on hold meanwhile is decided. The next deal rests on that."""
        its_id = partner_id("alpha")
        service, reason = "partner-svc", "unpaid-fees"
        await self.people.tell(
            service, OPERATIONS, "suspend", partners.suspend_partner, its_id, reason, None
        )
        saved = await self.people.tell(
            service, OPERATIONS, "reinstate", partners.reinstate_partner, its_id, None
        )
        platform = self.people.platform
        known = platform.durable.databases["deal-svc"].tables["partners"]
        while saved and known[its_id]["version"] < saved.versions[0][1]:  # as Prm-Position waits
            await platform.scheduler.point("wait for deal-svc")
        wish = Wish(len(self.script.wishes), "alpha", CUSTOMERS[0], SMALL)
        await self.register(wish, "register at once")

    async def time_passes(self) -> None:
        """While all else goes on, or once nobody asks for anything."""
        await asyncio.sleep(self.script.moment)
        self.people.platform.durable.ahead += self.script.ends_after
