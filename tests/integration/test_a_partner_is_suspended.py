"""A suspension stops what is undecided and what would be new, and leaves what was approved."""

from .story import BY_HAND, Partner, Story


def suspend(story: Story, partner: Partner) -> None:
    story.operations.does(f"partners/{partner.id}/suspend", {"reason_code": "payment"})
    story.settled()


def reinstate(story: Story, partner: Partner) -> None:
    story.operations.does(f"partners/{partner.id}/reinstate", {})
    story.settled()


def test_a_suspended_partner_registers_nothing(story: Story) -> None:
    [alpha] = story.partners(1)
    suspend(story, alpha)

    answer = alpha.seller.tell("deals", story.deal(story.customer()))

    assert (answer.status_code, answer.json()["type"]) == (409, "urn:problem:partner-not-active")
    assert answer.json()["partner_status"] == "suspended"


def test_a_reinstated_partner_registers_again(story: Story) -> None:
    [alpha] = story.partners(1)
    suspend(story, alpha)
    reinstate(story, alpha)

    deal = story.registers(alpha, story.customer())

    story.becomes(deal, "approved")


def test_an_approved_deal_stays_approved(story: Story) -> None:
    [alpha] = story.partners(1)
    deal = story.registers(alpha, story.customer())
    story.becomes(deal, "approved")

    suspend(story, alpha)

    assert story.status(deal) == "approved"
    assert "ExclusivityReleased" not in [it.name for it in story.line_of(deal)]


def test_a_deal_in_review_is_decided_only_after_the_reinstatement(story: Story) -> None:
    [alpha] = story.partners(1)
    deal = story.registers(alpha, story.customer(), BY_HAND)
    story.becomes(deal, "in_review")
    suspend(story, alpha)

    refused = story.manager.tell(f"deals/{deal}/approve", {})

    assert (refused.status_code, refused.json()["partner_status"]) == (409, "suspended")
    reinstate(story, alpha)
    story.manager.does(f"deals/{deal}/approve", {})
    story.becomes(deal, "approved")


def test_an_answer_that_came_during_the_suspension_is_not_lost(story: Story) -> None:
    [alpha] = story.partners(1)
    with story.without("territory-svc"):
        deal = story.registers(alpha, story.customer())
        suspended = story.operations.does(
            f"partners/{alpha.id}/suspend", {"reason_code": "payment"}
        )
        refused = alpha.seller.tell("deals", story.deal(story.customer()), seen=suspended.position)
        assert refused.status_code == 409  # deal-svc knows before the answer comes
    story.settled()
    assert story.checks_of(deal)
    assert story.status(deal) == "checking"

    reinstate(story, alpha)

    story.becomes(deal, "approved")
