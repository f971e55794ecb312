"""A trace goes on from the request to the facts, and its spans to the collector that is named."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import psycopg
import pytest

from chassis.telemetry.tracing import TRACEPARENT, Tracer, is_sampled, step, traceparent, tracer
from chassis.testing.collector import Collector, collecting

from .reactions import Ordered, Setup, Stranger, notes_of, running, until
from .sampled import prepared, served

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GIVEN = f"00-{TRACE}-{SPAN}-01"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


async def opened(dsn: str, otlp_endpoint: str = "") -> str:
    """The traceparent of the fact that a request with GIVEN has recorded."""
    prepared(dsn)
    async with served(dsn, otlp_endpoint=otlp_endpoint) as sample:
        answer = await sample.post("/v1/counters", traceparent=GIVEN)
        assert answer.status_code == 201
    with psycopg.connect(dsn) as connection:
        [(kept,)] = connection.execute("SELECT traceparent FROM events").fetchall()
    return str(kept)


async def test_without_a_collector_the_trace_context_goes_on_as_it_came(
    fresh_database: str,
) -> None:
    assert await opened(fresh_database) == GIVEN


async def test_a_request_without_a_trace_begins_one(fresh_database: str) -> None:
    prepared(fresh_database)
    async with served(fresh_database) as sample:
        await sample.opened()
        await sample.post("/v1/counters", traceparent=f"00-{'0' * 32}-{SPAN}-01")

    with psycopg.connect(fresh_database) as connection:
        kept = [row[0] for row in connection.execute("SELECT traceparent FROM events").fetchall()]
    assert len({it[3:35] for it in kept}) == 2
    assert all(TRACEPARENT.fullmatch(it) for it in kept)


async def test_a_command_is_a_span_of_its_request_and_the_fact_names_it(
    fresh_database: str, collector: Collector
) -> None:
    kept = await opened(fresh_database, otlp_endpoint=collector.endpoint)

    spans = {span.name: span for span in collector.of(TRACE)}
    assert set(spans) == {"POST /v1/counters", "open_counter", "decide", "append"}
    assert spans["POST /v1/counters"].parent == SPAN
    assert spans["open_counter"].parent == spans["POST /v1/counters"].id
    assert spans["append"].parent == spans["open_counter"].id
    assert kept == f"00-{TRACE}-{spans['open_counter'].id}-01"


async def test_a_fault_is_told_by_its_kind(fresh_database: str, collector: Collector) -> None:
    prepared(fresh_database)
    async with served(fresh_database, otlp_endpoint=collector.endpoint) as sample:
        counter = await sample.opened()
        body = {"lines": [{"step": 1}], "limit": 0}
        await sample.post(f"/v1/counters/{counter}/count", body, traceparent=GIVEN)

    assert {span.name for span in collector.of(TRACE) if span.is_fault} == {"count", "decide"}


async def test_probes_of_machines_are_no_traces(fresh_database: str, collector: Collector) -> None:
    prepared(fresh_database)
    async with served(fresh_database, otlp_endpoint=collector.endpoint) as sample:
        for path in ("/healthz", "/readyz", "/metrics"):
            await sample.client.get(path)
        await sample.get("/v1/counters")

    assert [span.name for span in collector.spans] == ["GET /v1/counters"]


async def test_a_collector_that_is_away_disturbs_nothing(fresh_database: str) -> None:
    assert (await opened(fresh_database, otlp_endpoint="http://127.0.0.1:1"))[3:35] == TRACE


async def test_a_trace_that_is_not_sampled_goes_on_unrecorded(
    fresh_database: str, collector: Collector
) -> None:
    prepared(fresh_database)
    endpoint = collector.endpoint
    async with served(fresh_database, otlp_endpoint=endpoint, trace_ratio="0") as sample:
        await sample.opened()
        await sample.post("/v1/counters", traceparent=GIVEN[:-1] + "0")

    with psycopg.connect(fresh_database) as connection:
        kept = [row[0] for row in connection.execute("SELECT traceparent FROM events").fetchall()]
    assert collector.spans == []
    assert kept[1][3:35] == TRACE
    assert not [it for it in kept if is_sampled(it)]


async def test_relay_and_reaction_are_spans_of_the_facts_trace(
    setup: Setup, orders: Stranger, collector: Collector
) -> None:
    setup.sight = replace(setup.sight, tracer=tracer("sample", collector.endpoint, 1))
    order = orders.row(uuid4(), Ordered(note="x"))._replace(traceparent=GIVEN)

    async with running(setup.worker()), running(setup.relay()) as relay:
        await orders.send(order)
        await until(lambda: notes_of(setup.dsn) and relay.published == 1)
    setup.sight.tracer.close()

    spans = {span.name: span for span in collector.of(TRACE)}
    reaction = spans["policies take prm.order.Ordered.v1"]
    assert reaction.parent == spans["journal take prm.order.Ordered.v1"].parent == SPAN
    assert spans["load"].parent == reaction.id
    assert spans[f"publish prm.tallies-{setup.run}"].parent == reaction.id


def test_what_is_recorded_nowhere_costs_no_memory() -> None:
    program = (
        "import sys, chassis.running.runtime; print([m for m in sys.modules if"
        " m.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    )

    said = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert said.stdout.strip() == b"[]"


def test_steps_of_nothing_are_nothing() -> None:
    with step("alone"):
        assert traceparent() == ""
    with Tracer().begin("", GIVEN), step("inside"):
        assert traceparent() == GIVEN
    assert traceparent() == ""
