"""A document as it was: by version and by when it was recorded, for who may see it today."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from .sampled import Sample, prepared, projected, served, token

ALPHA, BOREALIS = UUID(int=1), UUID(int=2)
SELLER = token("partner-seller", partner_id=ALPHA)
RIVAL = token("partner-seller", partner_id=BOREALIS)
PAST, FUTURE = "2020-01-01T00:00:00Z", "2120-01-01T00:00:00Z"


@pytest.fixture
async def sample(fresh_database: str) -> AsyncIterator[Sample]:
    prepared(fresh_database)
    async with served(fresh_database) as sample:
        yield sample


@pytest.fixture
async def counter(sample: Sample, fresh_database: str) -> str:
    """Opened by Alpha, then counted 3 and 4."""
    opened = await sample.opened(SELLER)
    for step in (3, 4):
        body = {"lines": [{"step": step}]}
        await sample.post(f"/v1/counters/{opened}/count", body, who=SELLER)
    await projected(sample, fresh_database, opened)
    return opened


async def test_a_version_is_answered_as_it_was_then(sample: Sample, counter: str) -> None:
    answers = [
        await sample.get(f"/v1/counters/{counter}?as_of={version}", who=SELLER)
        for version in (1, 2, 3, 99)
    ]

    assert [answer.json()["count"] for answer in answers] == [0, 3, 7, 7]
    assert [answer.headers["ETag"] for answer in answers] == ['"1"', '"2"', '"3"', '"3"']


async def test_an_instant_is_answered_by_what_was_recorded_until_then(
    sample: Sample, counter: str, fresh_database: str
) -> None:
    with psycopg.connect(fresh_database) as connection:
        query = "SELECT recorded_at FROM events ORDER BY position"
        recorded = [row[0].astimezone(UTC) for row in connection.execute(query)]

    async def at(instant: datetime) -> int:
        written = instant.isoformat().replace("+00:00", "Z")
        answer = await sample.get(f"/v1/counters/{counter}?as_of={written}", who=SELLER)
        return int(answer.json()["count"])

    assert [await at(instant) for instant in recorded] == [0, 3, 7]
    assert await at(recorded[2] - timedelta(microseconds=1)) == 3


async def test_before_its_beginning_there_was_nothing(sample: Sample, counter: str) -> None:
    answer = await sample.get(f"/v1/counters/{counter}?as_of={PAST}", who=SELLER)

    assert (answer.status_code, answer.json()["type"]) == (404, "urn:problem:counter-not-found")


@pytest.mark.parametrize("as_of", ["1", PAST, FUTURE])
async def test_somebody_elses_past_answers_like_one_that_never_was(
    sample: Sample, counter: str, as_of: str
) -> None:
    missing = str(uuid4())
    same = {"Prm-Correlation-Id": str(uuid4())}

    foreign_answer = await sample.get(f"/v1/counters/{counter}?as_of={as_of}", who=RIVAL, **same)
    missing_answer = await sample.get(f"/v1/counters/{missing}?as_of={as_of}", who=RIVAL, **same)

    assert foreign_answer.status_code == missing_answer.status_code == 404
    assert foreign_answer.text.replace(counter, missing) == missing_answer.text


async def test_a_question_about_the_past_leaves_today_as_it_is(
    sample: Sample, counter: str
) -> None:
    await sample.get(f"/v1/counters/{counter}?as_of=1", who=SELLER)

    today = await sample.get(f"/v1/counters/{counter}", who=SELLER)

    assert today.json()["count"] == 7


@pytest.mark.parametrize(
    "as_of",
    ["0", "-1", "yesterday", "2027-03-01", "2027-03-01T00:00:00", "1735689600000", "1.5", ""],
)
async def test_what_is_neither_a_version_nor_an_instant_is_refused(
    sample: Sample, counter: str, as_of: str
) -> None:
    answer = await sample.get(f"/v1/counters/{counter}?as_of={as_of}", who=SELLER)

    assert answer.status_code == 422
    assert {error["field"].split("/")[2] for error in answer.json()["errors"]} == {"as_of"}
