"""The HTTP face of a service with all of the chassis behind it, on a real PostgreSQL."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

from .sampled import Sample, prepared, served, token

ALPHA, BOREALIS = UUID(int=1), UUID(int=2)
ONE_STEP = {"lines": [{"step": 1}]}


@pytest.fixture
async def sample(fresh_database: str) -> AsyncIterator[Sample]:
    prepared(fresh_database)
    async with served(fresh_database) as sample:
        yield sample


async def test_a_command_answers_with_id_version_etag_and_position(sample: Sample) -> None:
    answer = await sample.post("/v1/counters")

    assert answer.status_code == 201
    assert answer.json()["version"] == 1
    assert answer.headers["ETag"] == '"1"'
    [seen] = sample.ports.tokens.seen(answer.headers["Prm-Position"])
    assert seen == ("prm.counters", UUID(answer.json()["id"]), 1)


async def test_a_repeated_command_answers_with_its_first_outcome_and_its_position(
    sample: Sample,
) -> None:
    first = await sample.post("/v1/counters", key="once")

    again = await sample.post("/v1/counters", key="once")

    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert sample.ports.tokens.seen(again.headers["Prm-Position"])


async def test_the_same_key_for_another_request_is_refused(sample: Sample) -> None:
    counter = await sample.opened()
    await sample.post(f"/v1/counters/{counter}/count", ONE_STEP, key="once")

    answer = await sample.post(f"/v1/counters/{counter}/count", {"lines": []}, key="once")

    assert answer.status_code == 422
    assert answer.json()["type"] == "urn:problem:idempotency-key-reused"


async def test_the_same_key_of_somebody_else_is_another_command(sample: Sample) -> None:
    first = await sample.post("/v1/counters", key="once")

    other = token("channel-operations", sub=str(uuid4()))
    again = await sample.post("/v1/counters", key="once", who=other)

    assert again.json()["id"] != first.json()["id"]


async def test_a_command_without_an_idempotency_key_is_refused(sample: Sample) -> None:
    answer = await sample.post("/v1/counters", key="")

    assert answer.status_code == 400
    assert answer.json()["type"] == "urn:problem:idempotency-key-needed"


async def test_all_that_is_wrong_with_a_body_is_told_at_once(sample: Sample) -> None:
    body = {"lines": [{"step": 1}, {"step": 0}, {}], "limits": 3}

    answer = await sample.post(f"/v1/counters/{uuid4()}/count", body)

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:problem:request-invalid"
    assert [error["field"] for error in answer.json()["errors"]] == [
        "/body/lines/1/step",
        "/body/lines/2/step",
        "/body/limits",
    ]


@pytest.mark.parametrize(
    ("text", "message"), [("a\0b", ["Text takes no NUL character"]), ("a\\u0000b", [])]
)
async def test_a_nul_character_in_a_text_is_refused_by_its_field(
    sample: Sample, text: str, message: list[str]
) -> None:
    answer = await sample.post(f"/v1/counters/{uuid4()}/count", ONE_STEP | {"note": text})

    assert answer.status_code == 422
    told = [*message, "Extra inputs are not permitted"]
    assert answer.json()["errors"] == [{"field": "/body/note", "message": it} for it in told]


async def test_a_problem_never_repeats_what_the_body_held(sample: Sample) -> None:
    answer = await sample.post(f"/v1/counters/{uuid4()}/count", {"lines": "ben@alpha.example"})

    assert answer.status_code == 422
    assert "ben@" not in answer.text


async def test_a_refusal_is_a_problem_with_its_evidence(sample: Sample) -> None:
    counter = await sample.opened()
    await sample.post(f"/v1/counters/{counter}/count", ONE_STEP)

    answer = await sample.post(f"/v1/counters/{counter}/count", ONE_STEP, If_Match='"1"')

    assert answer.status_code == 412
    assert answer.json() == {
        "type": "urn:problem:precondition-failed",
        "title": "The aggregate has changed since the version named by If-Match: load it again.",
        "status": 412,
        "version": 2,
        "correlation_id": answer.headers["Prm-Correlation-Id"],
    }


async def test_a_command_that_could_lose_anothers_change_needs_if_match(sample: Sample) -> None:
    counter = await sample.opened()

    without = await sample.post(f"/v1/counters/{counter}/close")
    with_it = await sample.post(f"/v1/counters/{counter}/close", If_Match='"1"')

    assert (without.status_code, with_it.status_code) == (428, 200)
    assert without.json()["type"] == "urn:problem:if-match-needed"


async def test_somebody_elses_record_answers_like_a_missing_one(sample: Sample) -> None:
    counter = await sample.opened(token("partner-seller", partner_id=ALPHA))
    rival, missing = token("partner-seller", partner_id=BOREALIS), str(uuid4())

    foreign = await sample.post(f"/v1/counters/{counter}/count", ONE_STEP, who=rival)
    unknown = await sample.post(f"/v1/counters/{missing}/count", ONE_STEP, who=rival)

    assert foreign.status_code == unknown.status_code == 404
    own = {"id", "correlation_id"}
    assert {k: v for k, v in foreign.json().items() if k not in own} == {
        k: v for k, v in unknown.json().items() if k not in own
    }


async def test_a_role_that_may_not_do_it_is_told_which_may(sample: Sample) -> None:
    answer = await sample.post("/v1/counters", who=token("finance-approver"))

    assert answer.status_code == 403
    assert answer.json()["type"] == "urn:problem:role-needed"
    assert answer.json()["roles"] == ["channel-operations", "partner-seller"]


async def test_who_may_not_ask_learns_nothing_about_the_shape(sample: Sample) -> None:
    nobody = await sample.client.post(f"/v1/counters/{uuid4()}/count", json={"lines": 1})

    assert nobody.status_code == 401
    assert nobody.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/nowhere", 404, "path-not-found"),
        ("GET", "/v1/counters/", 404, "path-not-found"),
        ("DELETE", "/v1/counters", 405, "method-not-allowed"),
    ],
)
async def test_what_there_is_not_is_a_problem_too(
    sample: Sample, method: str, path: str, status: int, kind: str
) -> None:
    answer = await sample.client.request(
        method, path, headers={"Authorization": f"Bearer {token('channel-operations')}"}
    )

    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:problem:{kind}")


async def test_a_method_that_is_not_allowed_is_answered_with_those_that_are(sample: Sample) -> None:
    answer = await sample.client.delete("/v1/counters")

    assert answer.headers["Allow"] == "GET, POST"


async def test_a_body_of_another_media_type_is_refused(sample: Sample) -> None:
    head = {
        "Authorization": f"Bearer {token('channel-operations')}",
        "Idempotency-Key": "1",
        "Content-Type": "text/plain",
    }

    answer = await sample.client.post(
        f"/v1/counters/{uuid4()}/count", content=b'{"lines":[]}', headers=head
    )

    assert (answer.status_code, answer.json()["status"]) == (415, 415)


async def test_json_that_cannot_be_read_names_the_body(sample: Sample) -> None:
    head = {
        "Authorization": f"Bearer {token('channel-operations')}",
        "Content-Type": "application/json",
        "Idempotency-Key": "1",
    }

    answer = await sample.client.post("/v1/counters/x/count", content=b"{", headers=head)

    assert answer.status_code == 422
    assert {error["field"] for error in answer.json()["errors"]} == {"/path/counter_id", "/body"}


@pytest.mark.parametrize("tells_its_length", [True, False])
async def test_a_body_over_one_mebibyte_is_refused_before_it_is_read(
    sample: Sample, tells_its_length: bool
) -> None:
    read = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(64):
            read += 65_536
            yield b" " * 65_536

    head = {
        "Authorization": f"Bearer {token('channel-operations')}",
        "Idempotency-Key": "1",
        "Content-Type": "application/json",
    }
    head |= {"Content-Length": str(64 * 65_536)} if tells_its_length else {}

    answer = await sample.client.post(
        f"/v1/counters/{uuid4()}/count", content=chunks(), headers=head
    )

    assert (answer.status_code, answer.json()["limit"]) == (413, 1024 * 1024)


async def test_a_fault_tells_a_correlation_id_and_nothing_of_the_inside(
    sample: Sample, caplog: pytest.LogCaptureFixture
) -> None:
    given = str(uuid4())

    answer = await sample.post("/v1/counters/fault", Prm_Correlation_Id=given)

    assert answer.status_code == 500
    assert answer.json()["type"] == "urn:problem:internal-fault"
    assert answer.json()["correlation_id"] == answer.headers["Prm-Correlation-Id"] == given
    assert "secret" not in answer.text
    assert "secret" in caplog.text


async def test_a_correlation_id_that_is_none_is_replaced(sample: Sample) -> None:
    answer = await sample.get("/healthz", Prm_Correlation_Id="x\ny")

    assert str(UUID(answer.headers["Prm-Correlation-Id"])) == answer.headers["Prm-Correlation-Id"]


async def test_the_correlation_id_lies_in_the_fact(sample: Sample) -> None:
    given = uuid4()

    await sample.post("/v1/counters", Prm_Correlation_Id=str(given))

    [(stored,)] = await sample.ports.database.fetch("SELECT correlation_id FROM events", ())
    assert stored == given


async def test_the_description_names_roles_problems_and_headers(sample: Sample) -> None:
    described = (await sample.get("/openapi.json")).json()

    command = described["paths"]["/v1/counters"]["post"]
    assert described["openapi"].startswith("3.1")
    assert command["security"] == [{"accessToken": ["channel-operations", "partner-seller"]}]
    assert "Roles: channel-operations, partner-seller." in command["description"]
    assert {"201", "400", "401", "403", "409", "412", "422", "429"} <= command["responses"].keys()
    problem = described["components"]["responses"]["Problem"]
    assert "application/problem+json" in problem["content"]
    closing = described["paths"]["/v1/counters/{counter_id}/close"]["post"]
    assert "428" in closing["responses"]
    assert "428" not in command["responses"]
    assert "Prm-Position" in command["responses"]["201"]["headers"]
    assert described["components"]["schemas"]["Problem"]["required"][:2] == ["type", "title"]
    assert "HTTPValidationError" not in described["components"]["schemas"]


async def test_commands_answer_503_while_the_database_is_away() -> None:
    async with served("postgresql://127.0.0.1:1/none") as sample:
        answer = await sample.post("/v1/counters")
        ready = await sample.get("/readyz")
        alive = await sample.get("/healthz")

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.json()["type"] == "urn:problem:store-unavailable"
    assert (ready.status_code, ready.json()["ready"], alive.status_code) == (503, False, 200)
    assert len(ready.json()["reasons"]) == 2
