"""Lists in any order that they offer, with the members that are asked for."""

import json
from collections.abc import AsyncIterator
from uuid import UUID

import psycopg
import pytest

from .sampled import Sample, prepared, served, token

ALPHA = UUID(int=1)
SELLER = token("partner-seller", partner_id=ALPHA)
COUNTS = [10, 9, 100, 9, 7]  # as texts they would stand in another order


@pytest.fixture
async def sample(fresh_database: str) -> AsyncIterator[Sample]:
    """Five counters of Alpha, two of them level."""
    prepared(fresh_database)
    with psycopg.connect(fresh_database) as projected:
        for number, count in enumerate(COUNTS):
            counter = UUID(int=101 + number)
            document = {"counter_id": str(counter), "count": count, "note": None}
            values = (counter, ALPHA, str(counter), json.dumps(document))
            projected.execute("INSERT INTO counter_list VALUES (%s, %s, %s, %s::jsonb, 1)", values)
    async with served(fresh_database) as sample:
        yield sample


async def read(sample: Sample, query: str) -> list[int]:
    """The counts of all pages, two rows a page."""
    found, cursor = [], ""
    while True:
        more = f"&cursor={cursor}" if cursor else ""
        page = (await sample.get(f"/v1/counters?limit=2{query}{more}", who=SELLER)).json()
        found += [item["count"] for item in page["items"]]
        cursor = page["next_cursor"]
        if not cursor:
            return found


@pytest.mark.parametrize(
    ("query", "counts"),
    [("", COUNTS), ("&sort=count", sorted(COUNTS)), ("&sort=-count", sorted(COUNTS)[::-1])],
)
async def test_a_list_is_read_in_the_order_asked_for_page_by_page(
    sample: Sample, query: str, counts: list[int]
) -> None:
    assert await read(sample, query) == counts


async def test_a_cursor_belongs_to_its_order(sample: Sample) -> None:
    cursor = (await sample.get("/v1/counters?limit=1&sort=count")).json()["next_cursor"]

    answer = await sample.get(f"/v1/counters?limit=1&sort=-count&cursor={cursor}")

    assert (answer.status_code, answer.json()["type"]) == (400, "urn:problem:cursor-unreadable")


async def test_a_sparse_list_shows_the_members_asked_for(sample: Sample) -> None:
    answer = await sample.get("/v1/counters?fields=count,note&limit=1&sort=count", who=SELLER)

    assert answer.json()["items"] == [{"count": 7, "note": None}]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("sort=note", "/query/sort"),
        ("sort=", "/query/sort"),
        ("sort=count'--", "/query/sort"),
        ("fields=owner", "/query/fields"),
        ("fields=count,", "/query/fields"),
        ("fields=", "/query/fields"),
    ],
)
async def test_a_member_that_is_not_offered_is_refused(
    sample: Sample, query: str, field: str
) -> None:
    answer = await sample.get(f"/v1/counters?{query}", who=SELLER)

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
