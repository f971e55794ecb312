"""Deals in their waiting lines, by commands, policies and deadlines on a real database."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4, uuid5

import pytest

from chassis.context import Actor
from deal_svc import application
from deal_svc.domain.decision import (
    ApproverLimitExceeded,
    ConflictCheckPending,
    ConflictCheckStale,
    DealNotFound,
    PartnerNeeded,
    Status,
)
from deal_svc.domain.exclusivity import DealNotAtHead
from deal_svc.domain.registration import (
    NamedLine,
    PartnerNotActive,
    PartnerUnknown,
    ProductsUnknown,
)
from deal_svc.domain.reservation import KeyTaken
from prm_contracts.deals import (
    DealQueued,
    DealRegistered,
    DealRejected,
    ExclusivityExpired,
    ExclusivityReleased,
)
from prm_contracts.partners import PartnerReinstated, PartnerSuspended
from prm_contracts.territories import AlignmentActivated
from prm_contracts.values import ExternalId

from .cast import (
    ADMIN,
    ALPHA,
    BACKUP,
    FIREWALL,
    HOFFMANN,
    MANAGER,
    OPERATIONS,
    OUTSIDE,
    RIVAL,
    SELLER,
    checked,
    registration,
)
from .platform import DealService

SMALL = (NamedLine(product_id=BACKUP, quantity=1, unit_price_minor=4_000_000),)
BOTH = (
    NamedLine(product_id=BACKUP, quantity=1, unit_price_minor=9_000_000),
    NamedLine(product_id=FIREWALL, quantity=1, unit_price_minor=9_000_000),
)
ONLY_FIREWALL = BOTH[1:]


async def status_of(service: DealService, *deal_ids: UUID) -> list[str]:
    return [(await service.deal(deal_id)).status.value for deal_id in deal_ids]


async def suspend(service: DealService) -> None:
    fact = PartnerSuspended(suspended_by=OPERATIONS.id, reason_code="unpaid-fees")
    await service.deliver(ALPHA, 3, fact)


async def reinstate(service: DealService) -> None:
    await service.deliver(ALPHA, 4, PartnerReinstated(reinstated_by=OPERATIONS.id))
    await service.settle()


async def switch_map(service: DealService, version: int) -> None:
    fact = AlignmentActivated(
        alignment_version=version, effective_at=service.now, changed=1, activated_by=OPERATIONS.id
    )
    await service.deliver(uuid4(), 4, fact)


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


async def test_another_site_of_the_customer_does_not_clash(service: DealService) -> None:
    first = await service.registered_and_checked(SELLER, lines=SMALL, site="Munich")

    second = await service.registered_and_checked(RIVAL, lines=SMALL, site="Ulm")

    assert await status_of(service, first, second) == ["approved", "approved"]


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


async def test_only_the_head_of_the_line_is_approved(service: DealService) -> None:
    await service.register(SELLER)
    second = await service.register(RIVAL)

    with pytest.raises(DealNotAtHead):
        await service.approve(second, unchecked=True)


async def test_a_suspended_partner_registers_nothing(service: DealService) -> None:
    await suspend(service)

    with pytest.raises(PartnerNotActive):
        await service.register(SELLER)


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


async def test_a_deal_that_nothing_asks_of_is_not_promoted(service: DealService) -> None:
    deal_id = await service.registered_and_checked(SELLER)

    await service.tell(application.promote_deals, MANAGER, (deal_id,))

    assert await status_of(service, deal_id) == ["in_review"]


async def test_twenty_at_once_for_one_new_customer_make_one_line(service: DealService) -> None:
    actors = [SELLER, RIVAL] * 10

    deals = await asyncio.gather(*(service.register(actor, lines=SMALL) for actor in actors))

    claims = [(await service.deal(deal_id)).claims[0] for deal_id in deals]
    assert len({claim.exclusivity_id for claim in claims}) == 1
    assert sorted(claim.version for claim in claims) == list(range(1, 21))
