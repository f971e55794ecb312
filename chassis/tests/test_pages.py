"""Questions: documents passed through, pages, the wall between partners."""

import json
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import psycopg
import pytest

from .sampled import Sample, prepared, served, token

ALPHA, BOREALIS = UUID(int=1), UUID(int=2)
SELLER = token("partner-seller", partner_id=ALPHA)
COUNTERS = [UUID(int=number) for number in range(101, 106)]


@pytest.fixture
async def sample(fresh_database: str) -> AsyncIterator[Sample]:
    """Five counters of Alpha and one of Borealis; the first has a personal note."""
    prepared(fresh_database)
    async with served(fresh_database) as sample:
        note = await sample.ports.vault.seal(UUID(int=9), "call Ben")
        with psycopg.connect(fresh_database) as projected:
            for counter in [*COUNTERS, UUID(int=999)]:
                partner = BOREALIS if counter.int == 999 else ALPHA
                document = {"counter_id": str(counter), "note": None}
                if counter == COUNTERS[0]:
                    document["note"] = note.model_dump(mode="json")  # type: ignore[assignment]
                projected.execute(
                    "INSERT INTO counter_list VALUES (%s, %s, %s, %s::jsonb, 7)",
                    (counter, partner, str(counter), json.dumps(document)),
                )
        yield sample


async def test_a_document_has_its_version_as_etag_and_its_personal_fields_open(
    sample: Sample,
) -> None:
    answer = await sample.get(f"/v1/counters/{COUNTERS[0]}")

    assert answer.headers["ETag"] == '"7"'
    assert answer.json() == {"counter_id": str(COUNTERS[0]), "note": "call Ben"}


async def test_an_erased_persons_fields_are_null(sample: Sample) -> None:
    await sample.ports.vault.erase(UUID(int=9))

    answer = await sample.get(f"/v1/counters/{COUNTERS[0]}")

    assert answer.json()["note"] is None


async def test_somebody_elses_document_answers_like_a_missing_one(sample: Sample) -> None:
    foreign = await sample.get(f"/v1/counters/{UUID(int=999)}", who=SELLER)
    missing = await sample.get(f"/v1/counters/{uuid4()}", who=SELLER)

    assert (foreign.status_code, missing.status_code) == (404, 404)
    assert foreign.json()["type"] == missing.json()["type"] == "urn:problem:counter-not-found"


async def test_pages_show_each_row_once_and_end(sample: Sample) -> None:
    pages: list[list[str]] = []
    path = "/v1/counters?limit=2"
    while path and len(pages) < 9:
        page = (await sample.get(path, who=SELLER)).json()
        pages.append([item["counter_id"] for item in page["items"]])
        more = page["next_cursor"]
        path = f"/v1/counters?limit=2&cursor={more}" if more else ""

    assert [counter for page in pages for counter in page] == [str(counter) for counter in COUNTERS]
    assert [len(page) for page in pages] == [2, 2, 1]


async def test_a_page_that_holds_just_all_is_the_last(sample: Sample) -> None:
    page = await sample.get("/v1/counters?limit=5", who=SELLER)

    assert len(page.json()["items"]) == 5
    assert page.json()["next_cursor"] is None


async def test_a_cursor_of_another_partner_is_refused(sample: Sample) -> None:
    cursor = (await sample.get("/v1/counters?limit=1", who=SELLER)).json()["next_cursor"]
    rival = token("partner-seller", partner_id=BOREALIS)

    answer = await sample.get(f"/v1/counters?cursor={cursor}", who=rival)

    assert (answer.status_code, answer.json()["type"]) == (400, "urn:problem:cursor-unreadable")


async def test_a_cursor_belongs_to_its_filters(sample: Sample) -> None:
    cursor = (await sample.get("/v1/counters?limit=1", who=SELLER)).json()["next_cursor"]

    answer = await sample.get(f"/v1/counters?first={COUNTERS[0]}&cursor={cursor}", who=SELLER)

    assert answer.status_code == 400


@pytest.mark.parametrize("limit", ["0", "201", "x"])
async def test_a_page_has_between_1_and_200_rows(sample: Sample, limit: str) -> None:
    answer = await sample.get(f"/v1/counters?limit={limit}")

    assert [error["field"] for error in answer.json()["errors"]] == ["/query/limit"]
