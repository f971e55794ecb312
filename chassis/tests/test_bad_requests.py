"""Requests that are wrong in themselves: each is refused by name, and all at once."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from chassis.context import Context
from chassis.errors import NotFound
from chassis.store import Saved, Store
from chassis.testing import a_command
from chassis.web import problems

from .counters import Counter
from .reactions import Tally
from .sampled import Sample, prepared, projected, served, token

SOMEBODY, ANOTHER = UUID(int=1), UUID(int=2)
DEEP = b'{"lines":' + b"[" * 10_000 + b"]" * 10_000 + b"}"


@pytest.fixture
async def sample(fresh_database: str) -> AsyncIterator[Sample]:
    prepared(fresh_database)
    async with served(fresh_database, story="1") as sample:
        yield sample


async def tallied(store: Store, ctx: Context) -> Saved:
    tally = await store.load_or_new(Tally, SOMEBODY)
    tally.tally(SOMEBODY, "")
    return await store.save(ctx, tally)


async def counted_and_tallied(store: Store, ctx: Context, id: UUID) -> Saved:
    await store.load(Counter, id)
    return await store.save(ctx, await store.load(Tally, id))


async def sent(sample: Sample, body: bytes, path: str = "", **headers: str) -> Any:
    head = {
        "Authorization": f"Bearer {token('channel-operations')}",
        "Idempotency-Key": str(uuid4()),
        "Content-Type": "application/json",
    }
    head |= {name.replace("_", "-"): value for name, value in headers.items()}
    path = path or f"/v1/counters/{uuid4()}/count"
    return await sample.client.post(path, content=body, headers=head)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "/body"),
        (b"null", "/body"),
        (b"[]", "/body"),
        (b"{", "/body"),
        (DEEP, "/body"),
        (b'{"lines":[{"step":' + b"9" * 5000 + b"}]}", "/body"),
        (b'{"lines":[{"step":NaN}]}', "/body/lines/0/step"),
        (b'{"lines":[{"step":1e999}]}', "/body/lines/0/step"),
        (b'{"lines":[],"lines":[]}', "/body"),
        (b'{"lines":[{"step":1,"step":2}]}', "/body"),
        (b'{"lines":[{"step":"1"}]}', "/body/lines/0/step"),
        (b'{"lines":[{"step":true}]}', "/body/lines/0/step"),
        (b'{"lines":[{"step":1.0}]}', "/body/lines/0/step"),
        (b'{"lines":{}}', "/body/lines"),
        (b'{"lines":[],"unknown":1}', "/body/unknown"),
        (b'{"lines":[],"\\ud800":1}', "/body"),
        (b'{"lines":[],"limit":"\xff"}', "/body"),
        ('{"lines":[]}'.encode("utf-16"), "/body"),
    ],
    ids=lambda it: it[:40] if isinstance(it, bytes) else it,
)
async def test_a_body_that_is_not_what_the_operation_takes_is_refused_by_its_field(
    sample: Sample, body: bytes, field: str
) -> None:
    answer = await sent(sample, body)

    assert (answer.status_code, answer.json()["type"]) == (422, "urn:problem:request-invalid")
    assert {error["field"] for error in answer.json()["errors"]} == {field}


async def test_what_is_wrong_in_path_query_header_and_body_is_told_at_once(sample: Sample) -> None:
    wrong = {"If_Match": "*", "Prm_Position": "x" * 16_001}

    answer = await sent(sample, b'{"lines":1}', "/v1/counters/x/count?no=1&limit=2", **wrong)

    assert answer.status_code == 422
    assert {error["field"] for error in answer.json()["errors"]} == {
        "/path/counter_id",
        "/query/no",
        "/query/limit",
        "/header/if-match",
        "/header/prm-position",
        "/body/lines",
    }


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("unknown=1", {"/query/unknown"}),
        ("limit=1&limit=2", {"/query/limit"}),
        ("a=1&a=2&limit=0&b", {"/query/a", "/query/b", "/query/limit"}),
        ("%ff=1", {"/query/\ufffd"}),
        ("limit=1%00", {"/query/limit"}),
    ],
)
async def test_a_parameter_that_is_unknown_or_repeated_is_refused_by_its_name(
    sample: Sample, query: str, fields: set[str]
) -> None:
    answer = await sample.get(f"/v1/counters?{query}")

    assert answer.status_code == 422
    assert {error["field"] for error in answer.json()["errors"]} == fields


async def test_a_body_where_none_is_taken_is_refused(sample: Sample) -> None:
    answers = [await sent(sample, body, "/v1/counters") for body in (b"{}", b'{"note":"x"}')]

    assert [answer.status_code for answer in answers] == [201, 422]
    assert answers[1].json()["errors"][0]["field"] == "/body"


async def test_a_body_that_is_encoded_is_refused(sample: Sample) -> None:
    answer = await sent(sample, b'{"lines":[]}', Content_Encoding="gzip")

    assert (answer.status_code, answer.json()["status"]) == (415, 415)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE"])
async def test_a_method_that_a_path_does_not_take_is_told_those_that_it_takes(
    sample: Sample, method: str
) -> None:
    answer = await sample.client.request(method, "/v1/counters")

    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, POST")


async def test_a_body_that_does_not_come_is_not_waited_for(
    sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(problems, "BODY_WITHIN", 0.05)

    async def never() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    head = {"Authorization": f"Bearer {token('channel-operations')}", "Idempotency-Key": "1"}
    head |= {"Content-Type": "application/json"}

    answer = await sample.client.post("/v1/counters/x/count", content=never(), headers=head)

    assert (answer.status_code, answer.headers["Connection"]) == (408, "close")


async def test_a_record_of_another_kind_answers_like_a_missing_one(sample: Sample) -> None:
    await sample.ports.events.execute(tallied, a_command())

    other = await sample.post(f"/v1/counters/{SOMEBODY}/count", {"lines": []})
    missing = await sample.post(f"/v1/counters/{ANOTHER}/count", {"lines": []})

    assert (other.status_code, missing.status_code) == (404, 404)
    assert other.json()["type"] == missing.json()["type"]


async def test_one_id_given_as_two_kinds_is_missing_as_the_second(sample: Sample) -> None:
    counter = UUID(await sample.opened())

    with pytest.raises(NotFound):
        await sample.ports.events.execute(counted_and_tallied, a_command(), counter)


@pytest.mark.parametrize(
    "path",
    [
        "/ops/dead-letters?after=99999999999999999999",
        "/ops/dead-letters?after=-1",
        "/ops/dead-letters/99999999999999999999",
        f"/v1/counters/{SOMEBODY}?as_of=99999999999999999999",
    ],
)
async def test_numbers_that_nothing_can_have_are_refused(sample: Sample, path: str) -> None:
    who = token("platform-operator" if path.startswith("/ops") else "channel-operations")

    answer = await sample.get(path, who=who)

    assert answer.status_code == 422


@pytest.mark.parametrize(
    ("as_of", "status"), [("0001-01-01T00:00:00%2B23:59", 404), ("9999-12-31T23:59:59-23:59", 200)]
)
async def test_the_first_and_last_instants_of_all_are_instants_too(
    sample: Sample, fresh_database: str, as_of: str, status: int
) -> None:
    counter = await sample.opened()
    await projected(sample, fresh_database, counter)

    answer = await sample.get(f"/v1/counters/{counter}?as_of={as_of}")

    assert answer.status_code == status


async def test_the_storys_clock_stays_where_dates_can_be_computed(sample: Sample) -> None:
    body = {"advance_to": "9999-12-31T23:59:59Z"}

    answer = await sample.post("/ops/clock", body, who=token("platform-operator"))

    assert (answer.status_code, answer.json()["type"]) == (422, "urn:problem:clock-too-far")
