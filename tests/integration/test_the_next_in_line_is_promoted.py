"""Whoever leaves the head of a line makes place for the next, who is checked again first."""

from datetime import timedelta

import pytest

from .story import BY_HAND, Person, Story

PROMOTED = [
    "DealRegistered",
    "DealConflictsFound",
    "DealQueued",
    "DealPromoted",
    "ConflictCheckRequested",
    "DealCleared",
    "DealApproved",
]


@pytest.fixture
def line(story: Story) -> list[str]:
    """Three deals for one customer; the first is approved, the others wait behind it."""
    customer = story.customer()
    deals = [story.registers(partner, customer) for partner in story.partners(3)]
    story.settled()
    assert [story.status(deal) for deal in deals] == ["approved", "queued", "queued"]
    return deals


def test_a_withdrawal_promotes_the_next(story: Story, line: list[str]) -> None:
    first, second, third = line

    seller_of(story, first).does(f"deals/{first}/withdraw", {"note": "They bought nothing."})

    story.becomes(second, "approved")
    story.settled()
    assert story.topics.names("prm.deals", second) == PROMOTED
    assert story.status(third) == "queued"
    assert story.topics.names("prm.deals", third) == PROMOTED[:3]


def test_the_promoted_deal_is_checked_again_before_it_is_decided(
    story: Story, line: list[str]
) -> None:
    first, second, _ = line

    seller_of(story, first).does(f"deals/{first}/withdraw")

    story.becomes(second, "approved")
    story.settled()
    checks = story.manager.lists("conflict-checks", subject=second)
    assert sorted(check["subject_version"] for check in checks) == [1, 2]
    assert story.fact("prm.deals", second, "DealCleared").fact["subject_version"] == 2


def test_the_seller_of_the_promoted_deal_is_told_so(story: Story, line: list[str]) -> None:
    first, second, third = line

    seller_of(story, first).does(f"deals/{first}/withdraw")

    story.becomes(second, "approved")
    story.settled()
    about_second = [it for it, subject in story.told(seller_of(story, second)) if subject == second]
    assert sorted(about_second) == [
        "deal-approved",
        "deal-promoted",
        "deal-queued",
        "deal-registered",
    ]
    about_third = [it for it, subject in story.told(seller_of(story, third)) if subject == third]
    assert sorted(about_third) == ["deal-queued", "deal-registered"]


def test_a_rejection_promotes_the_next(story: Story) -> None:
    customer = story.customer()
    alpha, borealis = story.partners(2)
    first = story.registers(alpha, customer, BY_HAND)
    story.becomes(first, "in_review")
    second = story.registers(borealis, customer)
    story.becomes(second, "queued")

    story.manager.does(f"deals/{first}/reject", {"reason_code": "incomplete"})

    story.becomes(second, "approved")
    story.becomes(first, "rejected")


def test_a_deal_that_waits_cannot_be_approved_past_the_head_of_its_line(
    story: Story, line: list[str]
) -> None:
    _, second, _ = line

    answer = story.manager.tell(f"deals/{second}/approve", {"unchecked": True})

    assert answer.status_code == 409
    assert story.status(second) == "queued"


def test_an_expiry_promotes_the_next(story: Story, line: list[str]) -> None:
    first, second, _ = line
    until = story.fact("prm.deals", first, "DealApproved").fact["exclusive_until"]["at"]

    story.advance(timedelta(days=91))

    assert [story.status(deal) for deal in line] == ["expired", "approved", "queued"]
    assert story.fact("prm.deals", first, "DealExpired").fact["due_at"] == until
    assert story.topics.names("prm.deals", second) == PROMOTED
    expired = [it.name for it in story.line_of(first) if it.fact["deal_id"] == first]
    assert expired == ["ExclusivityClaimed", "ExclusivityGranted", "ExclusivityExpired"]


def seller_of(story: Story, deal: str) -> Person:
    return story.person("partner-seller", story.manager.reads(f"deals/{deal}")["partner_id"])
