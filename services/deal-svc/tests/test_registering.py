"""Registrations on a real database, and those that are refused."""

import asyncio
from uuid import uuid4

import pytest

from chassis.context import Actor
from deal_svc import application
from deal_svc.domain.decision import DealNotFound, PartnerNeeded
from deal_svc.domain.registration import (
    NamedLine,
    PartnerNotActive,
    PartnerUnknown,
    ProductsUnknown,
)
from deal_svc.domain.reservation import KeyTaken
from prm_contracts.values import ExternalId

from .cast import MANAGER, RIVAL, SELLER, registration
from .moves import SMALL, suspend
from .platform import DealService


async def test_a_suspended_partner_registers_nothing(service: DealService) -> None:
    await suspend(service)

    with pytest.raises(PartnerNotActive):
        await service.register(SELLER)


async def test_a_partner_that_deal_svc_has_not_read_of_is_unknown(service: DealService) -> None:
    stranger = Actor(uuid4(), uuid4(), frozenset({"partner-seller"}))

    with pytest.raises(PartnerUnknown):
        await service.register(stranger)


async def test_the_vendor_registers_no_deals(service: DealService) -> None:
    with pytest.raises(PartnerNeeded):
        await service.register(MANAGER)


async def test_a_product_that_no_price_book_lists_is_refused(service: DealService) -> None:
    lines = (NamedLine(product_id=uuid4(), quantity=1, unit_price_minor=1),)

    with pytest.raises(ProductsUnknown):
        await service.register(SELLER, lines=lines)


async def test_another_partners_deal_answers_like_a_missing_one(service: DealService) -> None:
    deal_id = await service.register(SELLER)

    with pytest.raises(DealNotFound):
        await service.withdraw(RIVAL, deal_id)


async def test_an_external_id_names_one_deal(service: DealService) -> None:
    named = (ExternalId(system="crm", id="D-1"),)
    await service.register(SELLER, external_ids=named)

    with pytest.raises(KeyTaken):
        await service.register(RIVAL, external_ids=named)


async def test_a_repeated_registration_answers_with_the_first_deal(service: DealService) -> None:
    command = service.command(SELLER)
    asked = registration()

    first = await service.events.execute(application.register_deal, command, asked)
    again = await service.events.execute(application.register_deal, command, asked)

    assert (again.versions, again.is_repeat) == (first.versions, True)


async def test_twenty_at_once_for_one_new_customer_make_one_line(service: DealService) -> None:
    actors = [SELLER, RIVAL] * 10

    deals = await asyncio.gather(*(service.register(actor, lines=SMALL) for actor in actors))

    claims = [(await service.deal(deal_id)).claims[0] for deal_id in deals]
    assert len({claim.exclusivity_id for claim in claims}) == 1
    assert sorted(claim.version for claim in claims) == list(range(1, 21))
