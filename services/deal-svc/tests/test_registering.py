"""Registrations on a real database, and those that are refused."""

import asyncio
from uuid import UUID, uuid4

import pytest

from chassis.context import Actor
from deal_svc import application
from deal_svc.domain.decision import DealNotFound, PartnerNeeded
from deal_svc.domain.registration import (
    NamedLine,
    PartnerNotActive,
    PartnerUnknown,
    ProductsUnknown,
    SellerUnknown,
)
from deal_svc.domain.reservation import KeyTaken
from prm_contracts.customers import DealKeyReserved
from prm_contracts.partners import ContactDeactivated
from prm_contracts.values import ExternalId

from .cast import ADMIN, COLLEAGUE, MANAGER, OPERATIONS, RIVAL, SELLER, invited, registration
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


async def test_a_colleague_may_be_named_as_the_seller(service: DealService) -> None:
    deal_id = await service.register(ADMIN, seller_id=COLLEAGUE.id)

    assert (await service.deal(deal_id)).registered.seller_id == COLLEAGUE.id


@pytest.mark.parametrize("stranger", [RIVAL.id, MANAGER.id, uuid4()], ids=["rival", "vendor", "?"])
async def test_nobody_but_the_partners_own_people_is_the_seller_of_its_deal(
    service: DealService, stranger: UUID
) -> None:
    """Who is named as the seller is told of the deal and its customer."""
    await service.deliver(MANAGER.id, 1, invited(MANAGER))

    with pytest.raises(SellerUnknown):
        await service.register(SELLER, seller_id=stranger)


async def test_a_colleague_who_has_left_is_no_seller(service: DealService) -> None:
    left = ContactDeactivated(reason_code="left", deactivated_by=OPERATIONS.id)
    await service.deliver(COLLEAGUE.id, 3, left)

    with pytest.raises(SellerUnknown):
        await service.register(ADMIN, seller_id=COLLEAGUE.id)


async def test_another_partners_deal_answers_like_a_missing_one(service: DealService) -> None:
    deal_id = await service.register(SELLER)

    with pytest.raises(DealNotFound):
        await service.withdraw(RIVAL, deal_id)


async def test_an_external_id_names_one_deal(service: DealService) -> None:
    named = (ExternalId(system="crm", id="D-1"),)
    await service.register(SELLER, external_ids=named)

    with pytest.raises(KeyTaken):
        await service.register(RIVAL, external_ids=named)


async def test_an_external_id_that_is_named_twice_is_one(service: DealService) -> None:
    named = ExternalId(system="crm", id="D-1")

    await service.register(SELLER, external_ids=(named, named))

    assert len(service.facts(DealKeyReserved)) == 2  # the customer's name is the other


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
