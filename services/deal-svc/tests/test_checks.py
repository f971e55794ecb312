"""Answers to conflict checks on a real database: near-duplicates, older maps, partners on hold."""

from uuid import uuid4

import pytest

from deal_svc import application
from deal_svc.domain.decision import ConflictCheckPending, ConflictCheckStale, DealNotListed
from deal_svc.domain.registration import PartnerNotActive
from prm_contracts.deals import DealRegistered

from .cast import HOFFMANN, MANAGER, OUTSIDE, RIVAL, SELLER, checked
from .moves import SMALL, reinstate, status_of, suspend, switch_map
from .platform import DealService


async def test_a_near_duplicate_of_another_partner_goes_to_review(service: DealService) -> None:
    await service.registered_and_checked(SELLER)
    named = HOFFMANN.model_copy(update={"name": "Hofmann Logistics", "postal_code": None})

    second = await service.registered_and_checked(RIVAL, customer=named, lines=SMALL)

    assert service.kinds_of(second)[-2:] == ["DealConflictsFound", "DealApprovalStepOpened"]
    registered = service.facts_of(second)[0]
    assert isinstance(registered, DealRegistered)
    assert registered.customer.band == "possible"
    assert 800 <= registered.customer.similar[0].points < 930


async def test_the_earlier_one_of_two_near_duplicates_is_not_held_up(service: DealService) -> None:
    first = await service.register(SELLER, lines=SMALL)
    named = HOFFMANN.model_copy(update={"name": "Hofmann Logistics", "postal_code": None})
    await service.register(RIVAL, customer=named, lines=SMALL)

    await service.checked(first)

    assert await status_of(service, first) == ["approved"]


async def test_an_own_near_duplicate_is_no_rival(service: DealService) -> None:
    await service.registered_and_checked(SELLER)
    named = HOFFMANN.model_copy(update={"name": "Hofmann Logistics", "postal_code": None})

    second = await service.registered_and_checked(SELLER, customer=named, lines=SMALL)

    assert await status_of(service, second) == ["approved"]


async def test_an_answer_that_comes_again_or_late_changes_nothing(service: DealService) -> None:
    deal_id = await service.registered_and_checked(SELLER)
    recorded = service.kinds_of(deal_id)

    await service.deliver(uuid4(), 1, checked(subject=deal_id))
    await service.deliver(uuid4(), 1, checked(subject=deal_id, subject_version=7))

    assert service.kinds_of(deal_id) == recorded


async def test_an_answer_about_a_subject_of_another_service_changes_nothing(
    service: DealService,
) -> None:
    await service.deliver(uuid4(), 1, checked(subject=uuid4()))

    assert service.stored() == []


async def test_a_deal_checked_by_an_older_map_waits_for_the_newest(service: DealService) -> None:
    deal_id = await service.register(SELLER, lines=SMALL)
    await switch_map(service, 2)

    await service.checked(deal_id, by_map=1)
    before = await status_of(service, deal_id)
    await service.checked(deal_id, by_map=2)

    assert (before, await status_of(service, deal_id)) == (["checking"], ["approved"])


async def test_a_deal_in_review_is_decided_anew_by_a_newer_map(service: DealService) -> None:
    deal_id = await service.registered_and_checked(SELLER)
    await switch_map(service, 2)
    with pytest.raises(ConflictCheckStale):
        await service.approve(deal_id)

    await service.checked(deal_id, OUTSIDE, by_map=2)

    assert service.kinds_of(deal_id)[-3:] == [
        "DealConflictsFound",
        "DealApprovalStepDecided",
        "DealRejected",
    ]


async def test_a_person_asks_for_another_check_of_a_stale_deal(service: DealService) -> None:
    deal_id = await service.registered_and_checked(SELLER)
    await switch_map(service, 2)

    await service.tell(application.request_check, MANAGER, deal_id, "requested")

    assert service.kinds_of(deal_id)[-1] == "ConflictCheckRequested"


async def test_an_unchecked_deal_is_approved_only_if_the_person_says_so(
    service: DealService,
) -> None:
    deal_id = await service.register(SELLER)

    with pytest.raises(ConflictCheckPending):
        await service.approve(deal_id)
    await service.approve(deal_id, unchecked=True)

    assert await status_of(service, deal_id) == ["approved"]


async def test_deals_of_a_suspended_partner_are_not_decided_and_approved_ones_stay(
    service: DealService,
) -> None:
    approved = await service.registered_and_checked(SELLER, lines=SMALL)
    undecided = await service.registered_and_checked(
        SELLER, customer=HOFFMANN.model_copy(update={"name": "Nordwind Energie AG"})
    )
    await suspend(service)

    with pytest.raises(PartnerNotActive):
        await service.approve(undecided)
    assert await status_of(service, approved, undecided) == ["approved", "in_review"]


async def test_an_answer_that_came_while_on_hold_waits_until_the_list_shows_the_deal(
    service: DealService,
) -> None:
    """The reinstatement would not find it, and nobody would ask again."""
    deal_id = await service.register(SELLER, lines=SMALL)
    await suspend(service)

    with pytest.raises(DealNotListed):
        await service.checked(deal_id)
    await service.settle()
    await service.checked(deal_id)
    await reinstate(service)
    await service.checked(deal_id)

    assert await status_of(service, deal_id) == ["approved"]


async def test_an_answer_that_came_while_on_hold_is_asked_again_after_reinstatement(
    service: DealService,
) -> None:
    deal_id = await service.register(SELLER, lines=SMALL)
    await service.settle()
    await suspend(service)
    await service.checked(deal_id)
    held = await status_of(service, deal_id)

    await reinstate(service)
    await service.checked(deal_id)

    assert (held, await status_of(service, deal_id)) == (["checking"], ["approved"])
