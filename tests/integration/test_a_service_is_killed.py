"""kill -9 at the worst moments: what was acknowledged is published, and has its effect once."""

import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from chassis.testing.topics import Event

from .story import Partner, Story, eventually

OF_DEAL_SVC = (
    "prm.deals",
    "prm.exclusivities",
    "prm.customers",
    "prm.price-books",
    "prm.deal-svc-reservations",
)


@pytest.fixture
def alpha(story: Story) -> Partner:
    return story.partners(1)[0]


def test_between_commit_and_publish(story: Story, alpha: Partner) -> None:
    bodies = [story.deal(story.customer()) for _ in range(10)]

    with story.lost_broker():  # commands are answered, and nothing can be published
        deals = [alpha.seller.does("deals", body).id for body in bodies]
        story.platform.kill_service("deal-svc")
    assert not all(story.topics.names("prm.deals", deal) for deal in deals)
    story.platform.start_service("deal-svc")

    story.settled()
    assert [story.status(deal) for deal in deals] == ["approved"] * 10
    assert_published_whole(story)


def test_while_partners_go_on_registering(story: Story, alpha: Partner) -> None:
    bodies = [story.deal(story.customer()) for _ in range(45)]

    with ThreadPoolExecutor(6) as pool:
        answers = pool.map(lambda body: tell_until_answered(alpha, body), bodies)
        for number in range(1, 4):  # each time some more have come through
            eventually(lambda: len(registered(story, alpha)) >= 10 * number)  # noqa: B023
            story.platform.kill_service("deal-svc")
            story.platform.start_service("deal-svc")
        deals = list(answers)

    story.settled()
    assert sorted(deals) == sorted(registered(story, alpha))
    assert Counter(story.status(deal) for deal in deals) == {"approved": 45}
    assert_published_whole(story)


def test_between_effect_and_offset(story: Story, alpha: Partner) -> None:
    readers = ("territory-svc", "notify-svc")
    with story.without(*readers):
        deals = [story.registers(alpha, story.customer()) for _ in range(60)]
        story.platform.kill_service("deal-svc")  # its own worker has a backlog as well
        story.platform.start_service("deal-svc")

    for _ in range(2):
        before = len(effects(story, deals))
        if before < len(deals):
            eventually(lambda: len(effects(story, deals)) > before)  # noqa: B023
        for name in readers:
            story.platform.kill_service(name)
        for name in readers:
            story.platform.services[name].begin()
        for name in readers:
            story.platform.services[name].wait_until_ready()

    story.settled()
    assert effects(story, deals) == Counter(deals)
    told = Counter(story.told(alpha.seller))
    granted = [
        it.fact["deal_id"]
        for it in story.topics.facts("prm.exclusivities")
        if it.name == "ExclusivityGranted"
    ]
    for deal in deals:
        assert told["deal-registered", deal] == told["deal-approved", deal] == 1
        assert granted.count(deal) == 1


def tell_until_answered(partner: Partner, body: dict[str, Any]) -> str:
    """As a client does that lost its server: again, under the same key."""
    key, end = str(uuid4()), time.monotonic() + 60
    while True:
        try:
            return partner.seller.does("deals", body, key=key).id
        except (httpx2.HTTPError, AssertionError):
            assert time.monotonic() < end
            time.sleep(0.05)


def registered(story: Story, partner: Partner) -> list[str]:
    facts = story.topics.facts("prm.deals")
    return [
        it.subject
        for it in facts
        if it.name == "DealRegistered" and it.fact["partner_id"] == partner.id
    ]


def effects(story: Story, deals: list[str]) -> Counter[str]:
    """How often territory-svc answered on each of them."""
    facts = story.topics.facts("prm.conflict-checks")
    return Counter(it.fact["subject"] for it in facts if it.fact["subject"] in deals)


def assert_published_whole(story: Story) -> None:
    """Every position of deal-svc once and without a gap; a repeat is the same to the byte."""
    head = story.platform.client.state_of("deal-svc")["head"]
    at: dict[int, list[Event]] = defaultdict(list)
    for event in (event for topic in OF_DEAL_SVC for event in story.topics.records(topic)):
        if event.is_genuine:
            at[int(event.headers["ce_position"])].append(event)
    assert sorted(at) == list(range(1, head + 1))
    for same in at.values():
        assert all(event == same[0] for event in same)
    for topic in OF_DEAL_SVC:
        assert_in_order(story.topics.facts(topic))


def assert_in_order(facts: list[Event]) -> None:
    """First sights of each aggregate count from 1."""
    versions = defaultdict(list)
    for event in facts:
        versions[event.subject].append(event.version)
    assert all(seen == list(range(1, len(seen) + 1)) for seen in versions.values())
