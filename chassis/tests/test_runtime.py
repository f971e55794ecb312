"""A service as a process: from its start to its stop, on a real broker and database."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx2
import psycopg
import pytest

from chassis.running.connection import KEPT_FOR

from .deployed import Deployment, SampleProcess, a_process, started
from .sampled import token

OPERATIONS = {"Authorization": f"Bearer {token('channel-operations')}"}
OPERATOR = {"Authorization": f"Bearer {token('platform-operator')}"}


@pytest.fixture(scope="module")
def running(deployment: Deployment) -> Iterator[SampleProcess]:
    """Ready, and not behind: others have written on its topic."""
    with started(deployment) as process:
        process.until_answers("/readyz", 200)
        assert caught_up(process)["lag"] == 0
        yield process


def caught_up(process: SampleProcess, within: float = 60) -> dict[str, Any]:
    """Its state, once nothing is left to do."""
    end = time.monotonic() + within
    state: dict[str, Any] = {"head": 1, "published": 0, "lag": 1}
    while time.monotonic() < end and (state["lag"] or state["head"] != state["published"]):
        url = f"{process.url}/ops/state"
        state = httpx2.get(url, headers=OPERATOR, trust_env=False, timeout=20).json()
    return state


def command(process: SampleProcess) -> httpx2.Response:
    head = OPERATIONS | {"Idempotency-Key": str(uuid4())}
    return httpx2.post(f"{process.url}/v1/counters", headers=head, trust_env=False, timeout=20)


def test_what_is_written_is_read_with_its_position(running: SampleProcess) -> None:
    written = command(running)
    head = OPERATIONS | {"Prm-Position": written.headers["Prm-Position"]}
    url = f"{running.url}/v1/counters/{written.json()['id']}"

    read = httpx2.get(url, headers=head, trust_env=False, timeout=20)

    assert (written.status_code, read.status_code) == (201, 200)
    assert read.headers["ETag"] == '"1"'


def test_an_answer_says_how_long_its_connection_may_be_kept(running: SampleProcess) -> None:
    """Shorter than it is: a request that meets the closing would have no answer."""
    hint = command(running).headers["Keep-Alive"]

    assert hint == f"timeout={KEPT_FOR - 1}"


def test_operators_see_how_far_it_is(running: SampleProcess) -> None:
    before = caught_up(running)  # others share its database, and may have left a dead letter
    command(running)

    state = caught_up(running)

    assert state["head"] == state["published"] == before["head"] + 1
    assert (state["service"], state["ready"], state["lag"]) == ("sample", True, 0)
    assert state["dead"] == before["dead"]


def test_the_storys_clock_is_advanced_over_http(running: SampleProcess) -> None:
    in_a_month = datetime.now(UTC) + timedelta(days=31)

    answer = httpx2.post(
        f"{running.url}/ops/clock",
        json={"advance_to": in_a_month.isoformat()},
        headers=OPERATOR,
        trust_env=False,
        timeout=20,
    )

    assert answer.status_code == 200, answer.text
    assert datetime.fromisoformat(answer.json()["now"]) >= in_a_month


def test_a_second_start_on_the_same_port_ends_before_it_joins_anything(
    deployment: Deployment, running: SampleProcess
) -> None:
    with started(deployment, service_port=str(running.port)) as second:
        code, said = second.waited_for()

    assert code == 1
    assert f"127.0.0.1:{running.port} cannot be listened at" in said
    assert running.until_answers("/readyz", 200).json()["ready"]


def test_a_start_with_bad_settings_names_all_of_them_without_their_values() -> None:
    wrong = {"database_dsn": "postgresql://u:secret@h/d", "master_key": "c2VjcmV0", "role": "boss"}

    with a_process(**wrong) as process:
        code, said = process.waited_for()

    assert code == 1
    assert "PRM_MASTER_KEY" in said
    assert "PRM_ROLE" in said
    assert "c2VjcmV0" not in said


def test_without_broker_and_database_it_starts_says_why_and_stops() -> None:
    with a_process(database_dsn="postgresql://127.0.0.1:1/none") as process:
        process.until_answers("/healthz", 200)
        ready = process.until_answers("/readyz", 503)
        code, _ = process.ended()

    assert ready.json()["reasons"]
    assert code == 0


def test_a_stop_finishes_what_was_begun_and_exits_with_0(deployment: Deployment) -> None:
    with started(deployment, instance="2") as process, ThreadPoolExecutor(8) as callers:
        process.until_answers("/readyz", 200)
        stopped = threading.Event()

        def ask() -> list[str]:
            """Ids of what was answered, until nobody answers any more."""
            known: list[str] = []
            while True:
                try:
                    answer = command(process)
                except httpx2.HTTPError:
                    return known
                if answer.status_code == 201:
                    known.append(answer.json()["id"])
                    stopped.set()

        asking = [callers.submit(ask) for _ in range(8)]
        stopped.wait(20)
        code, said = process.ended()
        answered = {known for future in asking for known in future.result()}

    with psycopg.connect(deployment.addresses.database_dsn) as connection:
        stored = connection.execute("SELECT aggregate_id::text FROM events").fetchall()
    assert code == 0, said
    assert answered
    assert answered <= {row[0] for row in stored}


def test_what_was_left_out_of_the_log_is_told_before_the_process_ends() -> None:
    with a_process(database_dsn="postgresql://127.0.0.1:1/none") as process:
        process.until_answers("/healthz", 200)
        for _ in range(7):  # each refusal is a line
            httpx2.get(f"{process.url}/v1/counters", trust_env=False, timeout=20)
        _, said = process.ended()

    assert "2 lines like this were left out" in said
