"""Deals in their waiting lines, by commands, policies and deadlines on a real database."""

import asyncio
from datetime import timedelta
from uuid import uuid5

import pytest

from deal_svc import application
from deal_svc.domain.decision import ApproverLimitExceeded, Status
from deal_svc.domain.exclusivity import DealNotAtHead
from deal_svc.domain.registration import NamedLine
from prm_contracts.deals import DealQueued, DealRejected, ExclusivityExpired, ExclusivityReleased

from .cast import ADMIN, BACKUP, MANAGER, OUTSIDE, RIVAL, SELLER, checked
from .moves import BOTH, ONLY_FIREWALL, SMALL, status_of
from .platform import DealService


async def test_a_clear_small_deal_is_approved_by_rule(service: DealService) -> None:
    deal_id = await service.registered_and_checked(SELLER, lines=SMALL)

    deal = await service.deal(deal_id)
    assert deal.status is Status.APPROVED
    assert service.kinds_of(deal_id) == ["DealRegistered", "DealCleared", "DealApproved"]
    assert service.kinds_of(deal.claims[0].exclusivity_id) == [
        "ExclusivityClaimed",
        "ExclusivityGranted",
    ]


async def test_a_clear_large_deal_is_approved_by_a_person_with_the_limit(
    service: DealService,
) -> None:
    deal_id = await service.registered_and_checked(SELLER)

    await service.approve(deal_id)

    assert service.kinds_of(deal_id) == [
        "DealRegistered",
        "DealCleared",
        "DealApprovalStepOpened",
        "DealApprovalStepDecided",
        "DealApproved",
    ]


async def test_a_limit_below_the_amount_does_not_approve(service: DealService) -> None:
    lines = (NamedLine(product_id=BACKUP, quantity=1, unit_price_minor=20_000_001),)
    deal_id = await service.registered_and_checked(SELLER, lines=lines)

    with pytest.raises(ApproverLimitExceeded):
        await service.approve(deal_id)


async def test_the_second_partner_waits_and_is_told_its_place(service: DealService) -> None:
    await service.registered_and_checked(SELLER)

    second = await service.registered_and_checked(RIVAL)

    assert service.facts_of(second)[-1] == DealQueued(place=2)


async def test_of_two_registrations_at_once_one_is_ahead(service: DealService) -> None:
    deals = await asyncio.gather(*(service.register(actor) for actor in (SELLER, RIVAL)))

    claims = [(await service.deal(deal_id)).claims[0] for deal_id in deals]
    assert claims[0].exclusivity_id == claims[1].exclusivity_id
    assert sorted(claim.version for claim in claims) == [1, 2]


async def test_the_next_in_line_is_promoted_and_checked_again_when_the_holder_expires(
    service: DealService,
) -> None:
    holder = await service.registered_and_checked(SELLER, lines=SMALL)
    waiting = await service.registered_and_checked(RIVAL, lines=SMALL)
    until = (await service.deal(holder)).exclusive_until
    assert until is not None

    service.now = until.at + timedelta(seconds=3)
    await service.due(holder, until.at)

    line = (await service.deal(holder)).claims[0].exclusivity_id
    assert service.facts_of(line)[-1] == ExclusivityExpired(
        deal_id=holder, due_at=until.at, moved_up=(waiting,)
    )
    assert service.kinds_of(waiting)[-2:] == ["DealPromoted", "ConflictCheckRequested"]
    await service.checked(waiting)
    assert await status_of(service, holder, waiting) == ["expired", "approved"]


async def test_a_deadline_that_was_not_the_current_one_expires_nothing(
    service: DealService,
) -> None:
    holder = await service.registered_and_checked(SELLER, lines=SMALL)

    await service.due(holder, service.now)

    assert await status_of(service, holder) == ["approved"]


async def test_a_withdrawn_holder_promotes_the_next(service: DealService) -> None:
    holder = await service.registered_and_checked(SELLER, lines=SMALL)
    waiting = await service.registered_and_checked(RIVAL, lines=SMALL)

    await service.withdraw(SELLER, holder)
    await service.settle()

    line = (await service.deal(holder)).claims[0].exclusivity_id
    assert service.facts_of(line)[-1] == ExclusivityReleased(
        deal_id=holder, reason="withdrawn", moved_up=(waiting,)
    )
    assert await status_of(service, waiting) == ["checking"]


async def test_a_deal_waits_until_it_is_at_the_head_of_all_its_lines(service: DealService) -> None:
    first = await service.registered_and_checked(SELLER, lines=SMALL)
    second = await service.registered_and_checked(ADMIN, lines=ONLY_FIREWALL)
    both = await service.registered_and_checked(RIVAL, lines=BOTH)

    await service.withdraw(SELLER, first)
    await service.settle()
    after_one = await status_of(service, both)
    await service.withdraw(ADMIN, second)
    await service.settle()

    assert (after_one, await status_of(service, both)) == (["queued"], ["checking"])


async def test_a_line_that_moved_on_while_the_deal_was_being_queued_promotes_it_still(
    service: DealService,
) -> None:
    holder = await service.registered_and_checked(SELLER, lines=SMALL)
    waiting = await service.register(RIVAL, lines=SMALL)
    await service.settle()
    await service.deliver(uuid5(waiting, "1"), 1, checked(subject=waiting))
    queued = await status_of(service, waiting)

    # Handled before the answer above was saved, the release found nothing to promote.
    await service.withdraw(SELLER, holder)
    service.delivered = service.stored()[-1].position
    await service.deliver(waiting, 3, DealQueued(place=2))

    assert (queued, await status_of(service, waiting)) == (["queued"], ["checking"])


async def test_a_territorial_reject_leaves_the_line_in_the_same_append(
    service: DealService,
) -> None:
    deal_id = await service.register(SELLER)

    await service.checked(deal_id, OUTSIDE)

    rejected = service.facts_of(deal_id)[-1]
    assert isinstance(rejected, DealRejected)
    assert (rejected.decision.rule_id, rejected.decision.is_automatic) == (
        "outside-territory",
        True,
    )
    line = (await service.deal(deal_id)).claims[0].exclusivity_id
    assert service.facts_of(line)[-1] == ExclusivityReleased(deal_id=deal_id, reason="rejected")


async def test_a_person_rejects_and_the_next_moves_up(service: DealService) -> None:
    first = await service.registered_and_checked(SELLER)
    second = await service.registered_and_checked(RIVAL)

    await service.tell(application.reject_deal, MANAGER, first, "tender", None)
    await service.settle()

    assert await status_of(service, first, second) == ["rejected", "checking"]


async def test_another_site_of_the_customer_does_not_clash(service: DealService) -> None:
    first = await service.registered_and_checked(SELLER, lines=SMALL, site="Munich")

    second = await service.registered_and_checked(RIVAL, lines=SMALL, site="Ulm")

    assert await status_of(service, first, second) == ["approved", "approved"]


async def test_only_the_head_of_the_line_is_approved(service: DealService) -> None:
    await service.register(SELLER)
    second = await service.register(RIVAL)

    with pytest.raises(DealNotAtHead):
        await service.approve(second, unchecked=True)


async def test_a_deal_that_nothing_asks_of_is_not_promoted(service: DealService) -> None:
    deal_id = await service.registered_and_checked(SELLER)

    await service.tell(application.promote_deals, MANAGER, (deal_id,))

    assert await status_of(service, deal_id) == ["in_review"]
