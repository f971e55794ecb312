"""Prm-Occurred-At: when it was true, apart from when it became known, and of no other effect."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from .sampled import Sample, prepared, projected, served, token

THEN = datetime(2019, 3, 1, 8, 30, tzinfo=UTC)
THEN_IN_LIMA = "2019-03-01T03:30:00-05:00"


@pytest.fixture
async def sample(fresh_database: str) -> AsyncIterator[Sample]:
    prepared(fresh_database)
    async with served(fresh_database) as sample:
        yield sample


async def test_a_fact_says_when_it_occurred_and_apart_from_it_when_it_became_known(
    sample: Sample,
) -> None:
    before = datetime.now(UTC)

    answer = await sample.post("/v1/counters", Prm_Occurred_At=THEN_IN_LIMA)

    [fact] = await sample.ports.history.facts(UUID(answer.json()["id"]), 1)
    assert fact.occurred_at == THEN
    assert before <= fact.recorded_at <= datetime.now(UTC)


async def test_without_it_a_fact_occurs_now(sample: Sample) -> None:
    before = datetime.now(UTC)

    answer = await sample.post("/v1/counters")

    [fact] = await sample.ports.history.facts(UUID(answer.json()["id"]), 1)
    assert before <= fact.occurred_at <= datetime.now(UTC)


async def test_a_document_as_of_an_instant_is_what_was_known_by_then(
    sample: Sample, fresh_database: str
) -> None:
    answer = await sample.post("/v1/counters", Prm_Occurred_At=THEN_IN_LIMA)
    counter = answer.json()["id"]
    await projected(sample, fresh_database, counter)

    [then, now] = [
        await sample.client.get(
            f"/v1/counters/{counter}",
            params={"as_of": at.isoformat()},
            headers={"Authorization": f"Bearer {token('channel-operations')}"},
        )
        for at in (THEN + timedelta(days=1), datetime.now(UTC) + timedelta(days=1))
    ]

    assert (then.status_code, now.status_code) == (404, 200)


async def test_only_operations_say_when_something_occurred(sample: Sample) -> None:
    who = token("partner-seller", partner_id=UUID(int=1))

    answer = await sample.post("/v1/counters", who=who, Prm_Occurred_At=THEN_IN_LIMA)

    assert (answer.status_code, answer.json()["role"]) == (403, "channel-operations")
    assert answer.json()["type"] == "urn:problem:original-time-not-yours"
    assert await sample.ports.database.fetch("SELECT FROM events", ()) == []


@pytest.mark.parametrize(
    "at", [datetime.now(UTC) + timedelta(days=1), datetime(1899, 12, 31, 23, 59, 59, tzinfo=UTC)]
)
async def test_what_is_to_come_and_what_is_before_1900_did_not_occur(
    sample: Sample, at: datetime
) -> None:
    answer = await sample.post("/v1/counters", Prm_Occurred_At=at.isoformat())

    assert answer.status_code == 422
    assert answer.json()["type"] == "urn:problem:original-time-out-of-range"
    assert answer.json()["earliest"] == "1900-01-01T00:00:00Z"


@pytest.mark.parametrize("at", ["", "yesterday", "2019-03-01", "2019-03-01T08:30:00", "1551429000"])
async def test_a_time_that_is_no_instant_is_named(sample: Sample, at: str) -> None:
    answer = await sample.post("/v1/counters", Prm_Occurred_At=at)

    assert answer.status_code == 422
    assert [it["field"] for it in answer.json()["errors"]] == ["/header/prm-occurred-at"]


async def test_a_repeat_says_the_same_time_however_it_is_written(sample: Sample) -> None:
    first = await sample.post("/v1/counters", key="once", Prm_Occurred_At=THEN_IN_LIMA)

    again = await sample.post("/v1/counters", key="once", Prm_Occurred_At=THEN.isoformat())
    other = await sample.post("/v1/counters", key="once", Prm_Occurred_At="2019-03-02T00:00:00Z")
    without = await sample.post("/v1/counters", key="once")

    assert again.json() == first.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    reused = "urn:problem:idempotency-key-reused"
    assert [other.json()["type"], without.json()["type"]] == [reused, reused]


async def test_every_command_is_described_with_it_and_no_question(sample: Sample) -> None:
    paths = (await sample.get("/openapi.json")).json()["paths"]

    told = {
        (method, path): any(it["name"] == "prm-occurred-at" for it in operation["parameters"])
        for path, operations in paths.items()
        for method, operation in operations.items()
        if path.startswith("/v1/counters") and path != "/v1/counters/fault"
    }
    assert told == {at: at[0] == "post" for at in told}
    assert len(set(told.values())) == 2
