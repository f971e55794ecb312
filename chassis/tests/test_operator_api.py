"""What operators see of a service and do to it, over HTTP."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from chassis.clock import StoryClock

from .sampled import SERVICE, Sample, prepared, served, token

OPERATOR = token("platform-operator")
LETTER = (
    'INSERT INTO parking (subscriber, aggregate_id, version, type, topic, partition, "offset",'
    " value, headers, kind, state, reason) VALUES ('policies', %s, 3, 't', 'prm.counters', 0, 1,"
    " '\\xff7b7d', '[[\"ce_chain\", \"MDA=\"]]', 'failed', 'dead', 'because') RETURNING id"
)


@pytest.fixture
async def sample(fresh_database: str) -> AsyncIterator[Sample]:
    """In a story."""
    prepared(fresh_database)
    async with served(fresh_database, story="1") as sample:
        yield sample


@pytest.fixture
def letter(sample: Sample, fresh_database: str) -> int:
    """The number of a dead letter."""
    with psycopg.connect(fresh_database) as connection:
        [(number,)] = connection.execute(LETTER, (UUID(int=21),)).fetchall()
    return int(number)


def clock_of(sample: Sample) -> StoryClock:
    assert isinstance(sample.ports.clock, StoryClock)
    return sample.ports.clock


async def test_it_is_ready_once_it_reaches_what_it_needs(sample: Sample) -> None:
    await sample.ports.identity.refresh()

    ready = await sample.client.get("/readyz")

    assert (ready.status_code, ready.json()) == (200, {"ready": True, "reasons": []})


async def test_it_is_not_ready_while_the_issuers_keys_are_unknown(fresh_database: str) -> None:
    prepared(fresh_database)
    nobody = {"issuer_url": "http://127.0.0.1:1"}
    async with served(fresh_database, service=replace(SERVICE, own_keys=None), **nobody) as sample:
        ready = await sample.client.get("/readyz")
        answer = await sample.get("/v1/counters")

    assert ready.status_code == 503
    assert ready.json()["reasons"] == ["the issuer's keys are not known: http://127.0.0.1:1"]
    assert answer.json()["type"] == "urn:problem:issuer-unavailable"


async def test_only_operators_see_its_state(sample: Sample) -> None:
    other = await sample.get("/ops/state")
    state = await sample.get("/ops/state", who=OPERATOR)

    assert other.status_code == 403
    assert (state.status_code, state.json()["service"]) == (200, "sample")


async def test_the_storys_clock_goes_forward_for_all_services(
    sample: Sample, fresh_database: str
) -> None:
    in_a_month = datetime.now(UTC) + timedelta(days=31)

    await clock_of(sample).advance_to(in_a_month)

    async with served(fresh_database, story="1") as other:
        await clock_of(other).reread()
        assert timedelta() <= clock_of(other).now() - in_a_month < timedelta(seconds=5)


async def test_the_storys_clock_never_goes_back(sample: Sample) -> None:
    clock = clock_of(sample)
    await clock.advance_to(datetime.now(UTC) + timedelta(days=31))

    await clock.advance_to(datetime.now(UTC) + timedelta(days=1))

    assert clock.now() > datetime.now(UTC) + timedelta(days=30)


async def test_a_process_that_cannot_fire_deadlines_does_not_set_the_clock(sample: Sample) -> None:
    body = {"advance_to": "2030-01-01T00:00:00Z"}

    answer = await sample.post("/ops/clock", body, who=OPERATOR)
    await clock_of(sample).reread()

    assert (answer.status_code, answer.json()["type"]) == (503, "urn:problem:no-worker-here")
    assert clock_of(sample).now() < datetime.now(UTC) + timedelta(days=1)


async def test_a_deployment_refuses_to_set_the_clock(fresh_database: str) -> None:
    prepared(fresh_database)
    async with served(fresh_database, story="0") as sample:
        body = {"advance_to": "2030-01-01T00:00:00Z"}
        answer = await sample.post("/ops/clock", body, who=OPERATOR)

    assert (answer.status_code, answer.json()["type"]) == (403, "urn:problem:story-clock-refused")


async def test_dead_letters_are_listed_and_shown_with_what_came(
    sample: Sample, letter: int
) -> None:
    listed = (await sample.get("/ops/dead-letters?state=dead", who=OPERATOR)).json()
    shown = (await sample.get(f"/ops/dead-letters/{letter}", who=OPERATOR)).json()

    assert [item["reason"] for item in listed["items"]] == ["because"]
    assert shown["value"] == "\\xff{}"
    assert shown["headers"] == [["ce_chain", "00"]]


async def test_a_dead_letter_is_tried_again_or_given_up(sample: Sample, letter: int) -> None:
    redriven = await sample.post(f"/ops/dead-letters/{letter}/redrive", who=OPERATOR)
    waiting = (await sample.get("/ops/dead-letters?state=waiting", who=OPERATOR)).json()
    discarded = await sample.post(f"/ops/dead-letters/{letter}/discard", who=OPERATOR)
    again = await sample.post(f"/ops/dead-letters/{letter}/discard", who=OPERATOR)
    unknown = await sample.post("/ops/dead-letters/999/redrive", who=OPERATOR)

    assert (redriven.status_code, discarded.status_code) == (204, 204)
    assert [item["id"] for item in waiting["items"]] == [letter]
    assert (again.status_code, unknown.status_code) == (409, 404)
