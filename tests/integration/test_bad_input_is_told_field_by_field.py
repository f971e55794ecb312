"""Every operation of every service is sent what it does not take: each says so, all at once, in a
problem document; nothing is changed by it, and nothing fails.
"""

from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from ops.registry import SERVICES

from .operations import Asking, Operation, asking
from .story import Story

INVALID = "urn:problem:request-invalid"
UNSUPPORTED = "urn:problem:media-type-unsupported"
NO_KEY = "urn:problem:idempotency-key-needed"
DEEP = b'{"a":' * 10_000 + b"1" + b"}" * 10_000
LARGE = b" " * (1024 * 1024 + 1)
EVENTS = "text/event-stream"


@pytest.fixture(scope="module")
def asks(story: Story) -> Asking:
    asking_ = asking(story, story.partners(1)[0].id)
    assert len(asking_.all) > 80
    return asking_


def heads(story: Story) -> dict[str, tuple[int, int]]:
    """Of each service: the last position of its store, and the last one on its topics."""
    states = {each.name: story.platform.client.state_of(each.name) for each in SERVICES}
    return {name: (state["head"], state["published"]) for name, state in states.items()}


@pytest.fixture(autouse=True, scope="module")
def nothing_is_changed(story: Story, asks: Asking) -> Iterator[None]:
    story.settled()
    before = heads(story)
    yield
    story.settled()
    assert heads(story) == before


def wrong_answers(
    asks: Asking,
    sent: Callable[[Operation], httpx2.Response],
    status: int,
    kind: str,
    *fields: str,
    among: Callable[[Operation], Any] = lambda _: True,
) -> dict[str, str]:
    """What was answered otherwise, by operation. At least one operation is asked."""
    chosen = [operation for operation in asks.all if among(operation)]
    assert chosen
    answers = {str(operation): sent(operation) for operation in chosen}
    return {
        name: f"{answer.status_code} {answer.text[:400]}"
        for name, answer in answers.items()
        if not is_told(answer, status, kind, fields)
    }


def is_told(answer: httpx2.Response, status: int, kind: str, fields: tuple[str, ...]) -> bool:
    if answer.status_code != status:
        return False
    if answer.headers["content-type"] != "application/problem+json":
        return False
    problem = answer.json()
    told = {error["field"] for error in problem.get("errors") or ()}
    own = problem["status"] == status and problem["correlation_id"]
    own = own and problem["correlation_id"] == answer.headers["prm-correlation-id"]
    return bool(own) and problem["type"] == kind and set(fields) <= told


def takes_json(operation: Operation) -> bool:
    return operation.takes_json


def is_command(operation: Operation) -> bool:
    return operation.is_command


def test_a_parameter_that_there_is_not(asks: Asking) -> None:
    wrong = wrong_answers(
        asks,
        lambda it: asks.send(it, params=it.needed | {"unheard-of": "1"}),
        422,
        INVALID,
        "/query/unheard-of",
    )

    assert wrong == {}


def test_a_parameter_that_is_given_twice(asks: Asking) -> None:
    for operation in asks.all:
        for name in operation.parameters("query"):
            answer = asks.send(operation, params=[(name, "x"), (name, "x")])

            assert is_told(answer, 422, INVALID, (f"/query/{name}",)), (str(operation), answer.text)


def test_an_id_that_is_none(asks: Asking) -> None:
    for operation in asks.all:
        if names := operation.parameters("path"):
            fields = tuple(f"/path/{name}" for name in names)
            for value in ("x", "%00", "%ED%A0%80", "..%2f..%2fetc"):
                answer = asks.send(operation, operation.filled(value))

                is_path = answer.status_code == 404 and "%2f" in value  # two segments: another path
                told = is_told(answer, 422, INVALID, fields)
                assert told or is_path, (str(operation), answer.text)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE"])
def test_a_method_that_a_path_does_not_take(asks: Asking, method: str) -> None:
    methods: dict[str, set[str]] = {}
    for operation in asks.all:
        methods.setdefault(operation.filled(), set()).add(operation.method)

    for url, taken in methods.items():
        answer = asks.http.request(method, url)

        assert answer.status_code == 405, url
        assert set(answer.headers["Allow"].split(", ")) == taken
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"7", b"{", b"\xff", b"\x1f\x8b", DEEP, '{"a":1}'.encode("utf-16")],
    ids=lambda it: repr(it[:10]),
)
def test_a_body_that_is_no_object(asks: Asking, body: bytes) -> None:
    wrong = wrong_answers(
        asks, lambda it: asks.send(it, content=body), 422, INVALID, "/body", among=takes_json
    )

    assert wrong == {}


def test_members_that_there_are_not_and_members_given_twice(asks: Asking) -> None:
    body = b'{"unheard-of":1,"unheard-of":2}'

    wrong = wrong_answers(
        asks,
        lambda it: asks.send(it, content=body),
        422,
        INVALID,
        "/body",
        "/body/unheard-of",
        among=takes_json,
    )

    assert wrong == {}


def test_members_of_another_type_each_by_its_name(asks: Asking, story: Story) -> None:
    for operation in filter(takes_json, asks.all):
        members = members_of(story, operation)
        body = "{" + ",".join(f'"{name}":{{"no":["such"]}}' for name in members) + "}"
        answer = asks.send(operation, content=body.encode())

        told = {error["field"].split("/")[2] for error in answer.json()["errors"]}
        assert answer.status_code == 422
        assert told == set(members), str(operation)


def members_of(story: Story, operation: Operation) -> list[str]:
    document = story.http.get(f"{operation.url}/openapi.json").json()
    schema = operation.document["requestBody"]["content"]["application/json"]["schema"]
    return list(document["components"]["schemas"][schema["$ref"].split("/")[-1]]["properties"])


def test_a_nul_character(asks: Asking) -> None:
    wrong = wrong_answers(
        asks,
        lambda it: asks.send(it, content=b'{"name":"\\u0000"}'),
        422,
        INVALID,
        "/body/name",
        among=takes_json,
    )

    assert wrong == {}


@pytest.mark.parametrize(
    "headers",
    [
        {"content_type": "text/plain"},
        {"content_type": None},
        {"content_type": "application/x-www-form-urlencoded"},
        {"content_encoding": "gzip"},
        {"content_encoding": "br, gzip"},
    ],
    ids=str,
)
def test_a_body_of_another_kind(asks: Asking, headers: dict[str, Any]) -> None:
    wrong = wrong_answers(
        asks, lambda it: asks.send(it, content=b"{}", **headers), 415, UNSUPPORTED, among=takes_json
    )

    assert wrong == {}


def test_a_body_that_is_too_large(asks: Asking) -> None:
    wrong = wrong_answers(
        asks,
        lambda it: asks.send(it, content=LARGE),
        413,
        "urn:problem:body-too-large",
        among=lambda it: it.method == "POST",
    )

    assert wrong == {}


def test_a_body_where_none_is_taken(asks: Asking) -> None:
    wrong = wrong_answers(
        asks,
        lambda it: asks.send(it, content=b'{"note":"x"}'),
        422,
        INVALID,
        "/body",
        among=lambda it: it.method == "POST" and "requestBody" not in it.document,
    )

    assert wrong == {}


@pytest.mark.parametrize("key", [None, "", "k" * 201])
def test_an_idempotency_key_that_is_missing_empty_or_too_long(
    asks: Asking, key: str | None
) -> None:
    wrong = wrong_answers(
        asks,
        lambda it: asks.send(it, idempotency_key=key),
        400,
        NO_KEY,
        "/header/idempotency-key",
        among=is_command,
    )

    assert wrong == {}


@pytest.mark.parametrize("etag", ["*", 'W/"1"', "1", '"x"', '"1", "2"', '"-1"', f'"{10**9}"', ""])
def test_an_if_match_that_is_none(asks: Asking, etag: str) -> None:
    wrong = wrong_answers(
        asks,
        lambda it: asks.send(it, if_match=etag),
        422,
        INVALID,
        "/header/if-match",
        among=is_command,
    )

    assert wrong == {}


def test_an_if_match_that_is_needed_and_missing(asks: Asking) -> None:
    wrong = wrong_answers(
        asks,
        lambda it: asks.send(it, if_match=None),
        428,
        "urn:problem:if-match-needed",
        among=lambda it: it.parameters("header").get("if-match", {}).get("required"),
    )

    assert wrong == {}


@pytest.mark.parametrize("position", ["x", "bm90aGluZw==", "A" * 200])
def test_a_position_that_nobody_gave(asks: Asking, position: str) -> None:
    wrong = wrong_answers(
        asks,
        lambda it: asks.send(it, prm_position=position),
        400,
        "urn:problem:position-unreadable",
        among=lambda it: "prm-position" in it.parameters("header"),
    )

    assert wrong == {}


@pytest.mark.parametrize("cursor", ["x", "bm90aGluZw==", "A" * 200, "\0", "ä"])
def test_a_cursor_that_nobody_gave(asks: Asking, cursor: str) -> None:
    wrong = wrong_answers(
        asks,
        lambda it: asks.send(it, params=it.needed | {"cursor": cursor}),
        400,
        "urn:problem:cursor-unreadable",
        among=lambda it: "cursor" in it.parameters("query"),
    )

    assert wrong == {}


def test_a_last_event_id_that_nobody_gave(asks: Asking) -> None:
    wrong = wrong_answers(
        asks,
        lambda it: asks.send(it, accept=EVENTS, last_event_id="bm90aGluZw=="),
        400,
        "urn:problem:cursor-unreadable",
        among=lambda it: "last-event-id" in it.parameters("header"),
    )

    assert wrong == {}


@pytest.mark.parametrize("as_of", ["0", "-1", "1.5", "99999999999", "yesterday", "2027-01-01", ""])
def test_a_time_that_is_none(asks: Asking, as_of: str) -> None:
    wrong = wrong_answers(
        asks,
        lambda it: asks.send(it, params=it.needed | {"as_of": as_of}),
        422,
        INVALID,
        "/query/as_of",
        among=lambda it: "as_of" in it.parameters("query"),
    )

    assert wrong == {}


def test_everything_at_once(asks: Asking) -> None:
    for operation in filter(is_command, asks.all):
        fields = [f"/path/{name}" for name in operation.parameters("path")]
        fields += [
            "/query/no",
            "/header/if-match",
            "/header/prm-position",
            "/header/prm-occurred-at",
            "/header/idempotency-key",
        ]
        fields += ["/body/unheard-of"] if operation.takes_json else []
        answer = asks.send(
            operation,
            operation.filled("x"),
            params={"no": "1"},
            content=b'{"unheard-of":1}',
            idempotency_key=None,
            if_match="*",
            prm_position="x" * 16_001,
            prm_occurred_at="yesterday",
        )

        assert is_told(answer, 400, NO_KEY, tuple(fields)), (str(operation), answer.text)


def test_a_record_that_there_is_not(asks: Asking) -> None:
    for operation in asks.all:
        if operation.parameters("path") and operation.method == "GET":
            answer = asks.send(operation)

            assert answer.status_code == 404, (str(operation), answer.text)
            assert answer.headers["content-type"] == "application/problem+json"


def test_an_answer_is_still_given_afterwards(asks: Asking, story: Story) -> None:
    ready = [story.http.get(f"{story.platform.url(each.name)}/readyz") for each in SERVICES]

    assert [answer.status_code for answer in ready] == [200] * len(SERVICES)
