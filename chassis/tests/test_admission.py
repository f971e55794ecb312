"""Who finds no place is refused when the head of a request is read; who has one leaves it again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest

from chassis.telemetry.sight import Sight
from chassis.testing.collector import collecting
from chassis.web.admission import Admission
from chassis.web.crowd import Crowd, TooManyCommands, TooManyQuestions
from chassis.web.envelope import Envelope

from .sampled import SERVICE, Sample, connected, prepared, served, token

SOMEBODY, ANOTHER = UUID(int=1), UUID(int=2)
OPERATIONS = f"Authorization: Bearer {token('channel-operations')}\r\n"
COMMAND = f"POST /v1/counters HTTP/1.1\r\nHost: here\r\n{OPERATIONS}Idempotency-Key: once\r\n"
REFUSED = b"HTTP/1.1 429 Too Many Requests"


def nobody_more() -> Crowd:
    return Crowd(most=0)


@asynccontextmanager
async def admitting(
    dsn: str, crowd: Crowd | None = None, audience: Crowd | None = None
) -> AsyncIterator[Sample]:
    """Over connections, with so many places for commands and for questions."""
    prepared(dsn)
    async with served(dsn) as sample:
        object.__setattr__(sample.ports, "crowd", crowd or Crowd())
        found = audience or Crowd(refusal=TooManyQuestions)
        object.__setattr__(sample.ports, "audience", found)
        sample.process.admission = Admission(SERVICE.routers, sample.ports)
        async with connected(sample) as over_connections:
            yield over_connections


class Raw:
    """A connection on which bytes are written as they are."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer

    async def answer(self) -> tuple[bytes, dict[bytes, bytes]]:
        """The first line of the next one, and its headers."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        first, *lines = head.strip().split(b"\r\n")
        headers = dict(line.split(b": ", 1) for line in lines)
        await self._reader.readexactly(int(headers[b"content-length"]))
        return first, headers

    async def rest(self) -> bytes:
        return await self._reader.read()


@asynccontextmanager
async def raw(sample: Sample) -> AsyncIterator[Raw]:
    at = sample.client.base_url
    reader, writer = await asyncio.open_connection(at.host, at.port)
    yield Raw(reader, writer)
    writer.close()
    await writer.wait_closed()


async def counted(sample: Sample, name: str) -> list[str]:
    metrics = (await sample.get("/metrics")).text
    return [line for line in metrics.splitlines() if line.startswith(name)]


async def test_commands_beyond_those_taken_at_once_are_told_to_come_again(
    fresh_database: str,
) -> None:
    full = Crowd(most=2, most_of_one=1)
    async with admitting(fresh_database, full) as sample:
        with full.place(SOMEBODY), full.place(ANOTHER):
            refused = await sample.post("/v1/counters", key="once")
        accepted = await sample.post("/v1/counters", key="once")

    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
    assert refused.json()["type"] == "urn:problem:too-many-commands"
    assert accepted.status_code == 201


async def test_who_is_refused_is_told_as_all_are(fresh_database: str) -> None:
    given = str(uuid4())
    async with admitting(fresh_database, nobody_more()) as sample:
        refused = await sample.post("/v1/counters", Prm_Correlation_Id=given.upper())
        other = await sample.post("/v1/counters", Prm_Correlation_Id="none")

    problem, headers = refused.json(), refused.headers
    assert problem["correlation_id"] == headers["Prm-Correlation-Id"] == given
    assert problem["title"].startswith("As many commands run")
    assert (headers["Content-Type"], headers["Keep-Alive"]) == (
        "application/problem+json",
        "timeout=4",
    )
    assert UUID(other.json()["correlation_id"]) == UUID(other.headers["Prm-Correlation-Id"])


async def test_who_is_refused_is_counted_by_route_and_problem(fresh_database: str) -> None:
    async with admitting(fresh_database, nobody_more()) as sample:
        for _ in range(3):
            await sample.post(f"/v1/counters/{uuid4()}/count", {"lines": []})
        requests = await counted(sample, "prm_http_requests_total")
        refusals = await counted(sample, "prm_refusals_total")

    at = 'method="POST",route="/v1/counters/{counter_id}/count",status="429"'
    assert f"prm_http_requests_total{{{at}}} 3.0" in requests
    assert refusals == ['prm_refusals_total{type="urn:problem:too-many-commands"} 3.0']


async def test_who_is_refused_is_a_span_of_the_trace(fresh_database: str) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    came = f"00-{trace}-b7ad6b7169203331-01".encode()
    prepared(fresh_database)
    with collecting() as collector:
        async with served(fresh_database, otlp_endpoint=collector.endpoint) as sample:
            object.__setattr__(sample.ports, "crowd", nobody_more())
            admission = Admission(SERVICE.routers, sample.ports)
            scope = {"method": "POST", "path": "/v1/counters", "headers": [(b"traceparent", came)]}
            assert admission.refused(scope)

        assert [span.name for span in collector.of(trace)] == ["POST /v1/counters"]


async def test_questions_are_answered_while_no_more_commands_are_taken(fresh_database: str) -> None:
    async with admitting(fresh_database, nobody_more()) as sample:
        command, question = await sample.post("/v1/counters"), await sample.get("/v1/counters")

    assert (command.status_code, question.status_code) == (429, 200)


async def test_questions_beyond_those_answered_at_once_are_told_to_come_again(
    fresh_database: str,
) -> None:
    audience = Crowd(most=0, refusal=TooManyQuestions)
    async with admitting(fresh_database, audience=audience) as sample:
        question, command = await sample.get("/v1/counters"), await sample.post("/v1/counters")

    assert (question.status_code, question.headers["Retry-After"]) == (503, "1")
    assert question.json()["type"] == "urn:problem:too-many-questions"
    assert command.status_code == 201


async def test_operators_find_a_place_while_nobody_else_does(fresh_database: str) -> None:
    operator = token("platform-operator")
    async with admitting(fresh_database, nobody_more(), nobody_more()) as sample:
        answers = [
            await sample.get(path, who=operator)
            for path in ("/healthz", "/readyz", "/metrics", "/ops/state", "/ops/dead-letters")
        ]

    assert [answer.status_code for answer in answers] == [200] * 5


async def test_what_there_is_not_needs_no_place(fresh_database: str) -> None:
    async with admitting(fresh_database, nobody_more(), nobody_more()) as sample:
        nothing = await sample.get("/v1/nowhere")
        not_taken = await sample.client.delete("/v1/counters")

    assert (nothing.status_code, not_taken.status_code) == (404, 405)


async def test_nothing_but_the_head_is_waited_for(fresh_database: str) -> None:
    async with admitting(fresh_database, nobody_more()) as sample, raw(sample) as line:
        line.writer.write(f"{COMMAND}Content-Length: 600\r\n\r\n".encode())

        first, headers = await line.answer()

    assert (first, headers[b"retry-after"]) == (REFUSED, b"1")


async def test_the_application_hears_nothing_of_who_is_refused(fresh_database: str) -> None:
    heard: list[Any] = []
    async with admitting(fresh_database, nobody_more()) as sample:

        def hearing(app: Any) -> Any:
            async def told(scope: Any, receive: Any, send: Any) -> None:
                heard.append(scope["path"])
                await app(scope, receive, send)

            return told

        sample.process.app.add_middleware(hearing)
        await sample.post("/v1/counters")
        await sample.get("/healthz")

    assert heard == ["/healthz"]


async def test_what_follows_of_who_is_refused_is_dropped(fresh_database: str) -> None:
    async with admitting(fresh_database, nobody_more()) as sample, raw(sample) as line:
        asked = f"{COMMAND}Content-Length: 9\r\n\r\n".encode()
        line.writer.write(asked + b"GET / HTT" + asked)
        answers = [await line.answer(), await line.answer()]
        line.writer.write(b"GET / HTT")
        line.writer.write(b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n")
        last, _ = await line.answer()

    assert [first for first, _ in answers] == [REFUSED] * 2
    assert last == b"HTTP/1.1 200 OK"


async def test_thousands_that_wait_on_one_connection_are_answered_in_order(
    fresh_database: str,
) -> None:
    question = f"GET /v1/counters HTTP/1.1\r\nHost: here\r\n{OPERATIONS}\r\n"
    commands = "POST /v1/counters HTTP/1.1\r\n\r\n" * 3000
    async with admitting(fresh_database, nobody_more()) as sample, raw(sample) as line:
        line.writer.write(f"{question}{commands}{question}".encode())

        answers = [(await line.answer())[0] for _ in range(3002)]

    assert answers == [b"HTTP/1.1 200 OK", *[REFUSED] * 3000, b"HTTP/1.1 200 OK"]


@pytest.mark.parametrize("more", ["Connection: close", "Expect: 100-continue"])
async def test_a_connection_that_cannot_go_on_is_closed_with_the_refusal(
    fresh_database: str, more: str
) -> None:
    async with admitting(fresh_database, nobody_more()) as sample, raw(sample) as line:
        line.writer.write(f"{COMMAND}{more}\r\nContent-Length: 600\r\n\r\n".encode())
        first, headers = await line.answer()
        rest = await line.rest()

    assert (first, headers[b"connection"], rest) == (REFUSED, b"close", b"")


async def test_who_is_refused_by_a_process_that_goes_comes_again_elsewhere(
    fresh_database: str,
) -> None:
    async with admitting(fresh_database, nobody_more()) as sample, raw(sample) as line:
        sample.process.health.is_draining = True
        line.writer.write(f"{COMMAND}\r\n".encode())
        _, headers = await line.answer()
        rest = await line.rest()

    assert (headers[b"connection"], rest) == (b"close", b"")


async def test_commands_that_come_at_once_leave_no_place_taken(fresh_database: str) -> None:
    async with admitting(fresh_database, Crowd(most=4)) as sample:
        answers = await asyncio.gather(*(sample.post("/v1/counters") for _ in range(40)))
        last = await sample.post("/v1/counters")

    assert {answer.status_code for answer in answers} == {201, 429}
    assert last.status_code == 201


@pytest.mark.parametrize(
    ("path", "status"), [("/v1/counters/fault", 500), ("/v1/counters/none/close", 422)]
)
async def test_a_request_that_goes_wrong_leaves_its_place(
    fresh_database: str, path: str, status: int
) -> None:
    only = Crowd(most=1)
    async with admitting(fresh_database, only, only) as sample:
        wrong = [await sample.post(path, If_Match='"1"') for _ in range(2)]
        right = await sample.post("/v1/counters")

    assert [answer.status_code for answer in wrong] == [status] * 2
    assert right.status_code == 201


async def test_a_stream_takes_a_place_only_until_it_begins(fresh_database: str) -> None:
    only = Crowd(most=1, refusal=TooManyQuestions)
    head = {"Authorization": f"Bearer {token('channel-operations')}"}
    head |= {"Accept": "text/event-stream"}
    async with (
        admitting(fresh_database, audience=only) as sample,
        sample.client.stream("GET", "/v1/counters", headers=head) as stream,
    ):
        question = await sample.get("/v1/counters")

        assert (stream.status_code, question.status_code) == (200, 200)
        sample.ports.live.stop()


def test_one_caller_does_not_keep_the_others_out() -> None:
    crowd = Crowd(most=2, most_of_one=1)

    with crowd.place(SOMEBODY):
        with pytest.raises(TooManyCommands):
            crowd.place(SOMEBODY)
        with crowd.place(ANOTHER):
            pass
    with crowd.place(SOMEBODY):
        pass


def test_a_place_that_is_left_twice_is_left_once() -> None:
    crowd = Crowd(most=2)
    first, _second = crowd.place(SOMEBODY), crowd.place(ANOTHER)

    first.leave()
    first.leave()
    crowd.place(SOMEBODY)

    with pytest.raises(TooManyCommands):
        crowd.place(SOMEBODY)


async def test_a_place_is_left_by_who_is_cancelled_before_its_answer_begins() -> None:
    crowd = Crowd(most=1, most_of_one=1)

    async def cancelled(*_: Any) -> Any:
        raise asyncio.CancelledError

    scope = {"type": "http", "path": "/v1/x", "method": "GET", "headers": []}
    for _ in range(2):
        told = scope | {"place": crowd.place("somebody")}
        with pytest.raises(asyncio.CancelledError):
            await Envelope(cancelled, Sight())(told, cancelled, cancelled)
