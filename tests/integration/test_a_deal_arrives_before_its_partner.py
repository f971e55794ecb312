"""No order holds between topics: a deal may be read before the activation of its partner."""

from uuid import uuid4

from .story import Story, eventually


def test_a_deal_is_refused_until_deal_svc_has_read_of_the_activation(story: Story) -> None:
    applicant = story.applicant()
    seller = story.person("partner-seller", applicant)
    story.settled()
    body, key = story.deal(story.customer()), str(uuid4())

    with story.frozen_broker():
        terms = {"terms_version": "2027-1"}
        approved = story.operations.does(f"partners/{applicant}/approve", terms)
        early = seller.tell("deals", body)
        waiting = seller.tell("deals", body, key=key, seen=approved.position)

    assert (early.status_code, early.json()["partner_status"]) == (409, "applied")
    assert waiting.status_code == 503
    assert int(waiting.headers["Retry-After"]) >= 1

    # the way out that both name: the same command with the position of what must be known first
    def tells_again() -> str:
        answer = seller.tell("deals", body, key=key, seen=approved.position)
        return str(answer.json()["id"]) if answer.is_success else ""

    story.becomes(eventually(tells_again), "approved")


def test_a_partner_that_deal_svc_has_never_read_of_is_named_unknown(story: Story) -> None:
    body = story.deal(story.customer())

    with story.frozen_broker():
        applicant = story.applicant()
        answer = story.person("partner-seller", applicant).tell("deals", body)

    assert (answer.status_code, answer.json()["type"]) == (409, "urn:problem:partner-unknown")
    assert "Prm-Position" in answer.json()["title"]


def test_a_late_reader_comes_to_the_right_check_whatever_it_reads_first(story: Story) -> None:
    [alpha] = story.partners(1)
    story.territory(alpha)

    with story.without("territory-svc", "notify-svc"):
        applicant = story.applicant()
        terms = {"terms_version": "2027-1"}
        approved = story.operations.does(f"partners/{applicant}/approve", terms)
        borealis = story.people_of(applicant)
        own = story.registers(alpha, story.customer())
        other = story.registers(borealis, story.customer(), seen=approved.position)

    story.becomes(own, "approved")
    story.becomes(other, "rejected")
    story.settled()
    [check] = story.checks_of(other)
    assert [it["kind"] for it in check.fact["conflicts"]] == ["EXCLUSIVE_OTHER"]
    assert len(story.checks_of(own)) == 1
    assert story.told(borealis.seller).count(("deal-rejected", other)) == 1
