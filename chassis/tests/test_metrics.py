"""What /metrics shows is what happened: exactly so often, and nothing that belongs to anybody."""

import re
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from uuid import uuid4

import httpx2
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from chassis.consuming.worker import Worker
from chassis.context import Context
from chassis.storage.event_store import PostgresEventStore
from chassis.store import Saved, Store
from chassis.telemetry.described import described
from chassis.telemetry.sight import Sight
from chassis.testing import NOW, a_command

from .deployed import Deployment, SampleProcess, a_process, started
from .reactions import Ordered, Setup, Stranger, Tally, notes_of, running, tallied, until
from .reactions import Sample as Reactions
from .sampled import Sample, prepared, served, token

DOCUMENTED = Path(__file__).parents[2] / "docs" / "metrics.md"
OPERATIONS = token("channel-operations")
LAG, READS = "prm_delivery_lag", ("counter_list", "prm.counters")
PARKED = (
    'INSERT INTO parking (subscriber, aggregate_id, version, type, topic, partition, "offset",'
    " headers, kind, state, reason)"
    " VALUES ('stranger', %s, %s, 't', 'prm.counters', 0, 1, '[]', %s, %s, 'because')"
)
LATE = (
    "INSERT INTO deadlines (rule, aggregate_id, version, due_at)"
    " VALUES ('unknown-rule', %s, 1, now() - interval '1 hour')"
)
FORGOTTEN = (
    "DELETE FROM parking WHERE aggregate_id = %s",
    "DELETE FROM deadlines WHERE aggregate_id = %s",
)
ONE_STEP = {"lines": [{"step": 1}]}
Shown = dict[tuple[str, frozenset[str]], float]


def shown(text: str) -> Shown:
    """By name and values of labels."""
    return {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(shown: Shown, name: str, *labels: str) -> float | None:
    return shown.get((name, frozenset(labels)))


def counted(sight: Sight, name: str, **labels: str) -> float:
    return sight.metrics.registry.get_sample_value(name, labels) or 0


@pytest.fixture
async def sample(fresh_database: str) -> AsyncIterator[Sample]:
    prepared(fresh_database)
    async with served(fresh_database) as sample:
        yield sample


async def asked(sample: Sample) -> Shown:
    return shown((await sample.client.get("/metrics")).text)


async def test_commands_are_counted_by_operation_and_outcome(sample: Sample) -> None:
    counter = await sample.opened()
    for _ in range(2):
        await sample.opened()
    await sample.post("/v1/counters", key="once")
    await sample.post("/v1/counters", key="once")
    await sample.post(f"/v1/counters/{counter}/count", ONE_STEP | {"limit": 0})

    found = await asked(sample)

    assert value(found, "prm_commands_total", "open_counter", "accepted") == 4
    assert value(found, "prm_commands_total", "open_counter", "repeated") == 1
    assert value(found, "prm_commands_total", "count", "refused") == 1
    assert value(found, "prm_commands_total", "count", "accepted") is None


async def test_appended_batches_are_counted_with_the_commands_in_them(sample: Sample) -> None:
    for _ in range(3):
        await sample.opened()

    found = await asked(sample)

    assert value(found, "prm_append_batch_commands_count") == 3
    assert value(found, "prm_append_batch_commands_sum") == 3
    assert value(found, "prm_append_seconds_count") == 3
    assert value(found, "prm_append_failures_total") == 0


async def test_requests_and_refusals_are_counted_by_route_and_by_problem(sample: Sample) -> None:
    counter = await sample.opened()
    await sample.post(f"/v1/counters/{counter}/count", ONE_STEP | {"limit": 0})
    await sample.post(f"/v1/counters/{counter}/count", {"lines": [{}]})
    await sample.client.request("BREW", f"/v1/counters/{counter}")
    await sample.client.get("/v1/nowhere")

    found = await asked(sample)

    route = "/v1/counters/{counter_id}/count"
    assert value(found, "prm_http_requests_total", "POST", "/v1/counters", "201") == 1
    assert value(found, "prm_http_requests_total", "POST", route, "409") == 1
    assert value(found, "prm_http_requests_total", "POST", route, "422") == 1
    assert value(found, "prm_http_requests_total", "GET", "-", "404") == 1
    assert value(found, "prm_http_request_seconds_count", "POST", route) == 2
    assert value(found, "prm_refusals_total", "urn:problem:counter-full") == 1
    assert value(found, "prm_refusals_total", "urn:problem:request-invalid") == 1
    assert not [method for _, labels in found for method in labels if method == "BREW"]


async def test_no_label_holds_an_id_or_what_somebody_sent(sample: Sample) -> None:
    partner = uuid4()
    seller = token("partner-seller", partner_id=partner)
    counter = await sample.opened(seller)
    await sample.get(f"/v1/counters/{counter}", who=token("partner-seller", partner_id=uuid4()))
    await sample.client.get(f"/v1/{uuid4()}", headers={"traceparent": "x", "host": "evil.example"})

    found = await asked(sample)

    labels = {label for _, labels in found for label in labels}
    assert "/v1/counters/{counter_id}" in labels
    assert not [it for it in labels if re.search(r"[0-9a-f]{8}-[0-9a-f]{4}|evil", it)]


async def is_level(worker: Worker) -> bool:
    return not any((await worker.lags()).values())


async def test_clashes_of_commands_are_counted(setup: Setup) -> None:
    sights, hot = [Sight(), Sight()], uuid4()
    stores = [PostgresEventStore(setup.dsn, lambda: NOW, sight=sight) for sight in sights]
    for store in stores:
        await store.open()

    async def slowly(store: Store, ctx: Context) -> Saved:
        """Another process is faster at the first try."""
        tally = await store.load_or_new(Tally, hot)
        if not notes_of(setup.dsn):
            await tallied(stores[1], 1, [hot])
        tally.tally(hot, "late")
        return await store.save(ctx, tally)

    await stores[0].execute(slowly, a_command())

    for store in stores:
        await store.close()
    assert counted(sights[0], "prm_command_clashes_total") == 1
    assert counted(sights[0], "prm_append_batch_commands_count") == 2


async def test_what_the_relay_sends_is_counted_by_topic(setup: Setup) -> None:
    store = PostgresEventStore(setup.dsn, lambda: NOW)
    await store.open()
    await tallied(store, 5)
    relay = setup.relay()

    async with running(relay):
        await until(lambda: relay.published == 5)
    await store.close()

    topic = f"prm.tallies-{setup.run}"
    assert counted(setup.sight, "prm_relay_sent_total", topic=topic) == 5
    assert counted(setup.sight, "prm_relay_send_failures_total") == 0


async def test_delivered_and_parked_facts_are_counted_once_each(
    setup: Setup, orders: Stranger
) -> None:
    order, poisoned = uuid4(), uuid4()
    await orders.say(order, *(Ordered(note=str(n)) for n in range(3)))
    await orders.say(poisoned, Ordered(note="never"), Ordered(note="behind"))

    async with running(setup.worker()) as worker:
        await until(lambda: len(notes_of(setup.dsn)) == 3)
        await until(lambda: counted(setup.sight, "prm_delivery_retries_total") >= 3)
        await until(lambda: is_level(worker))

    topic = f"prm.orders-{setup.run}"
    by_policies = {"subscriber": "policies", "topic": topic}
    assert counted(setup.sight, "prm_delivery_facts_total", **by_policies) == 3
    journal = {"subscriber": "journal", "topic": topic}
    assert counted(setup.sight, "prm_delivery_facts_total", **journal) == 5
    for kind in ("failed", "behind"):
        labels = {"subscriber": "policies", "kind": kind}
        assert counted(setup.sight, "prm_delivery_parked_total", **labels) == 1
    assert counted(setup.sight, "prm_delivery_window_facts_sum") >= 5  # repeats are handed in too


async def test_deadlines_that_fire_are_counted_by_their_rule(
    setup: Setup, orders: Stranger
) -> None:
    due = setup.clock.now() - timedelta(days=1)
    for _ in range(2):
        await orders.say(uuid4(), Ordered(due_at=due))

    async with running(setup.worker()):
        await until(lambda: len(notes_of(setup.dsn)) == 4)

    [rule] = Reactions(setup.run).deadlines
    assert counted(setup.sight, "prm_deadlines_fired_total", rule=rule.key) == 2


@pytest.fixture(scope="module")
def process(deployment: Deployment) -> Iterator[SampleProcess]:
    """Ready, with its API and its worker."""
    with started(deployment) as process:
        process.until_answers("/readyz", 200)
        yield process


def scraped(process: SampleProcess) -> Shown:
    return shown(process.until_answers("/metrics", 200).text)


def level(process: SampleProcess, head: int) -> Shown:
    """Once all is published and has had its effect."""
    end = time.monotonic() + 20
    while True:
        found = scraped(process)
        so_far = [value(found, it) for it in ("prm_store_position", "prm_relay_behind")]
        if [*so_far, value(found, LAG, *READS)] == [head, 0, 0]:
            return found
        assert time.monotonic() < end, found


def test_how_far_relay_and_delivery_are_is_read_when_it_is_asked(process: SampleProcess) -> None:
    before = value(scraped(process), "prm_store_position") or 0
    for _ in range(3):
        head = {"Authorization": f"Bearer {OPERATIONS}", "Idempotency-Key": str(uuid4())}
        httpx2.post(f"{process.url}/v1/counters", headers=head, trust_env=False, timeout=20)

    found = level(process, int(before) + 3)

    assert value(found, "prm_relay_position") == before + 3
    assert value(found, "prm_relay_behind_seconds") == 0
    assert value(found, "prm_relay_leader") == 1
    assert value(found, "prm_ready") == 1
    assert value(found, "prm_build_info", "sample", "all", version("chassis")) == 1
    assert {value(found, "prm_scrape_failed", it) for it in ("database", "lag")} == {0}


@pytest.fixture
def late_and_parked(deployment: Deployment) -> Iterator[None]:
    aggregate = uuid4()
    with psycopg.connect(deployment.addresses.database_dsn, autocommit=True) as service:
        for version, (kind, state) in enumerate((("failed", "dead"), ("behind", "waiting")), 1):
            service.execute(PARKED, (aggregate, version, kind, state))
        service.execute(LATE, (aggregate,))
        yield
        for statement in FORGOTTEN:
            service.execute(statement, (aggregate,))


@pytest.mark.usefixtures("late_and_parked")
def test_what_is_parked_dead_and_late_shows(process: SampleProcess) -> None:
    found = scraped(process)

    assert value(found, "prm_parked_facts", "failed", "dead") == 1
    assert value(found, "prm_parked_facts", "behind", "waiting") == 1
    assert value(found, "prm_parked_aggregates", "stranger") == 1
    assert (value(found, "prm_deadlines_pending"), value(found, "prm_deadlines_late")) == (1, 1)
    assert 3600 <= (value(found, "prm_deadlines_oldest_late_seconds") or 0) < 3700


def test_without_database_and_broker_it_says_so_and_shows_the_rest() -> None:
    with a_process(database_dsn="postgresql://127.0.0.1:1/none") as process:
        found = scraped(process)

    assert value(found, "prm_scrape_failed", "database") == 1
    assert value(found, "prm_scrape_failed", "lag") == 1
    assert value(found, "prm_relay_behind") is None
    assert value(found, "process_resident_memory_bytes")


def test_the_page_of_the_metrics_names_all_there_are(process: SampleProcess) -> None:
    text = process.until_answers("/metrics", 200).text

    names = {family.name for family in text_string_to_metric_families(text)}
    page = DOCUMENTED.read_text()
    assert page == described()
    assert {it for it in names if it.startswith("prm_")} == {
        name.removesuffix("_total") for name in re.findall(r"^\| `(\w+)`", page, re.MULTILINE)
    }
