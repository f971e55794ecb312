"""The card's example, and what every fact of it carries."""

from hashlib import sha256
from uuid import UUID

import pytest

from chassis.testing.topics import Event
from prm_contracts.receipts import flaws_of

from .story import Partner, Story, eventually

HEADERS = {
    "ce_specversion",
    "ce_id",
    "ce_type",
    "ce_source",
    "ce_subject",
    "ce_time",
    "ce_recordedat",
    "ce_dataschema",
    "ce_sequence",
    "ce_position",
    "ce_correlationid",
    "ce_commandid",
    "ce_actor",
    "ce_chain",
    "content-type",
}


DECIDED = ["DealRegistered", "DealCleared", "DealApproved"]


@pytest.fixture(scope="module")
def alpha(story: Story) -> Partner:
    """A partner with an exclusive territory."""
    [alpha] = story.partners(1)
    story.territory(alpha)
    return alpha


def test_a_registered_deal_is_checked_decided_and_told(story: Story, alpha: Partner) -> None:
    customer = story.customer()

    deal = story.registers(alpha, customer)

    story.becomes(deal, "approved")
    assert story.topics.names("prm.deals", deal) == DECIDED
    story.settled()
    [check] = story.manager.lists("conflict-checks", subject=deal)
    assert check["conflicts"] == []
    assert [it["assignments"] for it in check["territories"]] == [
        [{"partner_id": alpha.id, "role": "exclusive"}]
    ]
    told = [template for template, subject in story.told(alpha.seller) if subject == deal]
    assert sorted(told) == ["deal-approved", "deal-registered"]
    assert deal in {each["deal_id"] for each in alpha.seller.lists("deals")}


def test_a_deal_of_another_partner_in_an_exclusive_territory_is_rejected_by_rule(
    story: Story, alpha: Partner
) -> None:
    [borealis] = story.partners(1)

    deal = story.registers(borealis, story.customer())

    decision = story.fact("prm.deals", deal, "DealRejected").fact["decision"]
    assert (decision["reason_code"], decision["is_automatic"]) == ("territory", True)
    eventually(lambda: ("deal-rejected", deal) in story.told(borealis.seller))
    assert alpha.id not in borealis.seller.ask(f"deals/{deal}").text


def test_causes_connect_the_facts_across_topics(story: Story, alpha: Partner) -> None:
    deal = story.registers(alpha, story.customer())

    story.becomes(deal, "approved")

    registered = story.fact("prm.deals", deal, "DealRegistered")
    checked = caused_by(story, registered, "prm.conflict-checks")
    cleared = caused_by(story, checked, "prm.deals")
    approved = story.fact("prm.deals", deal, "DealApproved")
    granted = caused_by(story, checked, "prm.exclusivities")
    notified = caused_by(story, approved, "prm.notifications")
    assert [it.name for it in (checked, cleared, granted, notified)] == [
        "TerritoryConflictChecked",
        "DealCleared",
        "ExclusivityGranted",
        "NotificationQueued",
    ]
    correlated = (registered, checked, cleared, approved, granted, notified)
    assert len({it.headers["ce_correlationid"] for it in correlated}) == 1
    assert approved.headers["ce_commandid"] == granted.headers["ce_commandid"]
    assert registered.headers["ce_actor"] == alpha.seller.id


def test_every_fact_is_a_cloud_event(story: Story, alpha: Partner) -> None:
    deal = story.registers(alpha, story.customer())

    story.becomes(deal, "approved")

    for number, event in enumerate(story.topics.facts("prm.deals", deal), start=1):
        assert not HEADERS - event.headers.keys()
        assert event.headers["ce_specversion"] == "1.0"
        assert event.headers["content-type"] == "application/json"
        assert event.headers["ce_source"] == "urn:prm:deal-svc"
        assert event.headers["ce_type"] == f"prm.deal.{event.name}.v1"
        assert event.key == event.subject.encode() == str(UUID(event.subject)).encode()
        assert event.version == number


def test_anybody_can_compute_the_chain_again(story: Story, alpha: Partner) -> None:
    deal = story.registers(alpha, story.customer())

    story.becomes(deal, "approved")

    for history in (story.topics.facts("prm.deals", deal), story.line_of(deal)):
        chain = bytes(32)
        for event in history:
            chain = sha256(chain + digest(event)).digest()
            assert event.headers["ce_chain"] == chain.hex()


def test_a_receipt_proves_the_place_without_showing_a_rival(story: Story, alpha: Partner) -> None:
    [rival], customer = story.partners(1), story.customer()
    other = story.registers(rival, customer)
    mine = story.registers(alpha, customer)

    receipt = alpha.seller.reads(f"deals/{mine}/receipt")

    assert rival.id not in str(receipt)
    assert other not in str(receipt)
    [line] = receipt["lines"]
    chain = bytes(32)
    for fact in line["digests"]:
        chain = sha256(chain + bytes.fromhex(fact["digest"])).digest()
    claimed = next(it for it in story.line_of(mine) if it.fact["deal_id"] == mine)
    assert chain.hex() == line["chain"] == claimed.headers["ce_chain"]
    assert line["digests"][-1] == {"version": claimed.version, "digest": digest(claimed).hex()}
    assert flaws_of(receipt) == []


def caused_by(story: Story, cause: Event, topic: str) -> Event:
    def effects() -> list[Event]:
        facts = story.topics.facts(topic)
        return [it for it in facts if it.headers.get("ce_causationid") == cause.id]

    return eventually(effects, what=f"an effect of {cause.name} on {topic}")[0]


def digest(event: Event) -> bytes:
    """SHA-256 over what is on the wire, each part after its length as 4 bytes big-endian."""
    names = ("ce_subject", "ce_sequence", "ce_type", "ce_id", "ce_time", "ce_actor")
    parts = [event.headers[name].encode() for name in names] + [event.value or b""]
    return sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).digest()
