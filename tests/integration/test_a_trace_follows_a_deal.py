"""One registration is one trace: through store, relay, topics and the other services."""

from collections.abc import Iterator

import pytest

from chassis.testing.collector import Collector, Seen, collecting
from ops.platform import Platform

from .story import Story, eventually

pytestmark = pytest.mark.timeout(300)  # every service is started anew, twice
ON_THE_WAY = {
    ("deal-svc", "POST /v1/deals"),
    ("deal-svc", "register_deal"),
    ("deal-svc", "append"),
    ("deal-svc", "publish prm.deals"),
    ("territory-svc", "policies take prm.deal.DealRegistered.v1"),
    ("territory-svc", "publish prm.conflict-checks"),
    ("deal-svc", "policies take prm.conflict-check.TerritoryConflictChecked.v1"),
    ("notify-svc", "policies take prm.deal.DealRegistered.v1"),
    ("notify-svc", "policies take prm.deal.DealApproved.v1"),
}


@pytest.fixture(scope="module")
def collector(platform: Platform, story: Story) -> Iterator[Collector]:
    """All services tell it."""
    with collecting() as collector:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PRM_OTLP_ENDPOINT", collector.endpoint)
            anew(story)
        yield collector
    anew(story)


def anew(story: Story) -> None:
    with story.without(*story.platform.services):
        pass


@pytest.fixture(scope="module")
def approved(story: Story, collector: Collector) -> str:
    """The id of a deal that went through every service."""
    [partner] = story.partners(1)
    story.territory(partner)
    deal = story.registers(partner, story.customer())
    story.becomes(deal, "approved")
    eventually(lambda: ("deal-approved", deal) in story.told(partner.seller), what="told")
    return deal


@pytest.fixture(scope="module")
def spans(story: Story, collector: Collector, approved: str) -> list[Seen]:
    """Of the trace of its registration: each process hands over its own when it finds the time."""
    trace = trace_of(story, approved)

    def missing() -> set[tuple[str, str]]:
        return ON_THE_WAY - {(it.service, it.name) for it in collector.of(trace)}

    def all_came() -> bool:
        return not missing() and len(roots(collector.of(trace))) == 1

    eventually(all_came, what=lambda: f"without {missing()}, roots {roots(collector.of(trace))}")
    return collector.of(trace)


def roots(spans: list[Seen]) -> list[str]:
    """Names of those whose parent is not among them."""
    ids = {span.id for span in spans}
    return [span.name for span in spans if span.parent not in ids]


def trace_of(story: Story, deal: str) -> str:
    registered = story.fact("prm.deals", deal, "DealRegistered")
    return registered.headers["ce_traceparent"].split("-")[1]


def test_every_fact_that_a_registration_causes_names_its_trace(story: Story, approved: str) -> None:
    facts = [*story.topics.facts("prm.deals", approved), *story.checks_of(approved)]

    traces = {fact.headers["ce_traceparent"].split("-")[1] for fact in facts}

    assert {"DealRegistered", "DealApproved", "TerritoryConflictChecked"} <= {
        fact.name for fact in facts
    }
    assert traces == {trace_of(story, approved)}


def test_each_reaction_hangs_on_what_caused_it(spans: list[Seen]) -> None:
    by_id = {span.id: span for span in spans}
    [check] = taking(spans, "territory-svc", "prm.deal.DealRegistered.v1")
    [answer] = taking(spans, "deal-svc", "prm.conflict-check.TerritoryConflictChecked.v1")

    assert by_id[check.parent].name == "register_deal"
    assert answer.parent == check.id
    assert roots(spans) == ["POST /v1/deals"]


def taking(spans: list[Seen], service: str, fact: str) -> list[Seen]:
    """Where the policies of a service took this fact."""
    name = f"policies take {fact}"
    return [span for span in spans if (span.service, span.name) == (service, name)]
