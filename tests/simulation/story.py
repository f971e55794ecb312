"""What people do in a run: partners race, withdraw, are suspended; maps switch; time passes.

A run draws a script from its seed; `Lives` has a coroutine for each of those who take part.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from datetime import date, timedelta
from random import Random
from typing import Any
from uuid import UUID

from chassis.context import Actor
from deal_svc import application as deals
from deal_svc.domain.customer_keys import NamedCustomer
from deal_svc.domain.registration import NamedLine, Registration
from partner_svc import application as partners

from .people import People
from .prologue import (
    BACKUP,
    CUSTOMERS,
    LARGE,
    MANAGER,
    NAMES,
    OPERATIONS,
    SMALL,
    WINDOW,
    invitation,
    partner_id,
    personal,
    profile,
    seller,
    switch_map,
)


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
    """`guests`, `applicants`: how many are invited to one address, and apply as one company."""

    wishes: tuple[Wish, ...]
    guests: int = 0
    applicants: int = 0
    has_successor: bool = False
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
            guests=rng.choice((0, 0, 1, 2)),
            applicants=rng.choice((0, 0, 0, 1, 2)),
            has_successor=rng.random() < 0.3,
            is_map_switched=rng.random() < 0.2,
            is_one_suspended=rng.random() < 0.2,
            ends_after=WINDOW if rng.random() < 0.4 else timedelta(),
            moment=rng.choice((0, 2, 10)),
        )

    def at_its_fullest(self) -> "Script":
        """With all that can happen."""
        return replace(
            self,
            guests=2,
            applicants=2,
            has_successor=True,
            is_map_switched=True,
            is_one_suspended=True,
            ends_after=WINDOW,
        )


ONE_DEAL = Script((Wish(0, "alpha", CUSTOMERS[0], SMALL),), guests=1, ends_after=WINDOW, moment=5)


@dataclass
class Lives:
    people: People
    script: Script

    def all(self) -> list[Coroutine[Any, Any, None]]:
        lives = [self.deal(wish) for wish in self.script.wishes]
        lives += [self.invited(number) for number in range(self.script.guests)]
        lives += [self.applies(number) for number in range(self.script.applicants)]
        if self.script.has_successor:
            lives.append(self.succeeded())
        if self.script.is_map_switched:
            lives.append(self.map_switches())
        if self.script.is_one_suspended:
            lives.append(self.suspended())
        if self.script.ends_after:
            lives.append(self.time_passes())
        return lives

    async def soon(self) -> None:
        """At once, or at the moment when much happens: what is later than that is at once."""
        at = self.people.rng.choice((0, self.script.moment))
        await asyncio.sleep(max(0, at - self.people.platform.scheduler.now))

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
        if wish.is_withdrawn:  # at once, or once it holds its line
            await self.soon()
            await self.withdraw(wish, deal_id)
        elif wish.price_minor == LARGE:
            for _ in range(self.people.rng.randint(0, 3)):
                await asyncio.sleep(self.people.rng.choice((0, 0.5, 1)))
                key = self.people.anew(f"approve {wish.number}")
                await self.people.tell(
                    "deal-svc", MANAGER, key, deals.approve_deal, deal_id, unchecked=False
                )

    async def withdraw(self, wish: Wish, deal_id: UUID) -> None:
        who, key = seller(wish.partner), f"withdraw {wish.number}"
        await self.people.tell("deal-svc", who, key, deals.withdraw_deal, deal_id, None)

    async def succeeded(self) -> None:
        """The first in a line leaves it while the next one's place is looked up."""
        number = len(self.script.wishes)
        holder, successor = (
            Wish(number + place, name, CUSTOMERS[3], SMALL) for place, name in enumerate(NAMES)
        )
        deal_id = await self.register(holder, f"register {holder.number}")
        if deal_id:
            stream = self.people.platform.durable.databases["deal-svc"].streams[deal_id]
            await self.people.see(lambda: len(stream) > 1)
            await self.register(successor, f"register {successor.number}")
            await asyncio.sleep(self.people.rng.uniform(0, 4))
            await self.withdraw(holder, deal_id)

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
        known = self.people.platform.durable.databases["deal-svc"].tables["partners"]
        if saved:  # as Prm-Position waits
            version = saved.versions[0][1]
            await self.people.see(lambda: bool(known[its_id]["version"] >= version))
        wish = Wish(len(self.script.wishes) + 2, "alpha", CUSTOMERS[0], SMALL)
        await self.register(wish, "register at once")

    async def invited(self, number: int) -> None:
        """One address is invited once at a time: those who come late wait for another's end."""
        await self.soon()
        guest = Actor(UUID(int=61), roles=seller("alpha").roles, tenant_id=partner_id("alpha"))
        tell, key = self.people.tell, f"invite {number}"
        saved = await tell(
            "partner-svc", OPERATIONS, key, partners.invite_contact, invitation(guest)
        )
        if saved and self.people.rng.random() < 0.5:
            await self.soon()
            key, contact_id = f"accept {number}", saved.versions[0][0]
            await tell("partner-svc", OPERATIONS, key, partners.accept_invitation, contact_id)

    async def applies(self, number: int) -> None:
        """One company registers once, unless it was rejected meanwhile."""
        await self.soon()
        tell, company = self.people.tell, profile("alpha", duns="150483782")
        key = f"apply {number}"
        saved = await tell("partner-svc", OPERATIONS, key, partners.register_partner, company)
        if saved and self.people.rng.random() < 0.5:
            key, its_id, reason = f"decline {number}", saved.versions[0][0], "no-need"
            await tell("partner-svc", MANAGER, key, partners.reject_partner, its_id, reason, None)

    async def time_passes(self) -> None:
        """While all else goes on, or once nobody asks for anything."""
        await asyncio.sleep(self.script.moment)
        self.people.platform.durable.ahead += self.script.ends_after
