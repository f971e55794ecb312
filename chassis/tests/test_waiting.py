"""Reading what one has written: bounded waits for a read model, on a real PostgreSQL."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import LiteralString
from uuid import UUID, uuid4

import psycopg
import pytest

from chassis.storage.postgres import StoreUnavailable
from chassis.web.positions import Seen
from chassis.web.waiting import NotYetSeen, Parked, Waiting

from .sampled import Sample, prepared, served

COUNTER = UUID(int=21)
AT_3 = [Seen("prm.counters", COUNTER, 3)]
SEEN: LiteralString = (
    "INSERT INTO sequences VALUES (%s, %s, %s, '') ON CONFLICT (subscriber, aggregate_id)"
    " DO UPDATE SET version = excluded.version"
)
PARKED: LiteralString = (
    'INSERT INTO parking (subscriber, aggregate_id, version, type, topic, partition, "offset",'
    " headers, kind, state, reason) VALUES (%s, %s, 3, 't', 'prm.counters', 0, 1, '[]', %s,"
    " 'waiting', 'because')"
)


@pytest.fixture
async def sample(fresh_database: str) -> AsyncIterator[Sample]:
    prepared(fresh_database)
    async with served(fresh_database) as sample:
        yield sample


@pytest.fixture
def waiting(sample: Sample) -> Waiting:
    return sample.ports.waiting


async def note(dsn: str, statement: LiteralString, *values: object) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        await connection.execute(statement, values)


async def test_a_question_waits_until_the_read_model_has_what_its_reader_has_seen(
    waiting: Waiting, fresh_database: str
) -> None:
    asked = asyncio.create_task(waiting.until_seen(AT_3, ["counter_list"]))
    await note(fresh_database, SEEN, "counter_list", COUNTER, 2)
    done, _ = await asyncio.wait([asked], timeout=0.1)
    assert not done

    await note(fresh_database, SEEN, "counter_list", COUNTER, 3)

    await asyncio.wait_for(asked, 1)


async def test_it_waits_no_longer_than_it_may(waiting: Waiting) -> None:
    begun = time.monotonic()

    with pytest.raises(NotYetSeen):
        await waiting.until_seen(AT_3, ["counter_list"], within=0.2)

    assert time.monotonic() - begun < 1


async def test_a_parked_aggregate_is_told_at_once(waiting: Waiting, fresh_database: str) -> None:
    await note(fresh_database, PARKED, "counter_list", COUNTER, "failed")

    with pytest.raises(Parked):
        await asyncio.wait_for(waiting.until_seen(AT_3, ["counter_list"]), 1)


@pytest.mark.parametrize(("subscriber", "kind"), [("policies", "failed"), ("counter_list", "held")])
async def test_what_another_subscriber_could_not_take_or_is_only_held_is_waited_for(
    waiting: Waiting, fresh_database: str, subscriber: str, kind: str
) -> None:
    await note(fresh_database, PARKED, subscriber, COUNTER, kind)

    with pytest.raises(NotYetSeen):
        await waiting.until_seen(AT_3, ["counter_list"], within=0.1)


async def test_topics_that_the_read_model_does_not_read_are_not_waited_for(
    waiting: Waiting,
) -> None:
    others = [Seen("prm.others", COUNTER, 9)]

    await asyncio.wait_for(waiting.until_seen(others), 0.1)


async def test_one_task_asks_for_all_that_wait(sample: Sample, fresh_database: str) -> None:
    looks = 0

    class Counting(Waiting):
        async def _look(self, waiters: list[object]) -> None:  # type: ignore[override]
            nonlocal looks
            looks += 1
            await super()._look(waiters)  # type: ignore[arg-type]

    waiting = Counting(sample.ports.database, {"counter_list": frozenset(["prm.counters"])})
    asked = [asyncio.create_task(waiting.until_seen(AT_3)) for _ in range(200)]
    await asyncio.sleep(0)
    await note(fresh_database, SEEN, "counter_list", COUNTER, 3)
    await asyncio.gather(*asked)

    assert looks < 20


async def test_a_database_that_is_away_is_told_to_all_that_wait() -> None:
    async with served("postgresql://127.0.0.1:1/none") as sample:
        with pytest.raises((StoreUnavailable, NotYetSeen)):
            await sample.ports.waiting.until_seen(AT_3, ["counter_list"], within=4)


async def test_over_http_a_late_read_model_is_a_503_that_may_be_asked_again(
    sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chassis.web.waiting.WITHIN", 0.1)
    written = await sample.post("/v1/counters")
    position = written.headers["Prm-Position"]

    answer = await sample.get(f"/v1/counters/{written.json()['id']}", Prm_Position=position)

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.json()["type"] == "urn:problem:not-yet-seen"


async def test_a_command_waits_for_what_its_caller_has_seen(
    sample: Sample, fresh_database: str
) -> None:
    first = await sample.post("/v1/counters")
    await note(fresh_database, SEEN, "counter_list", UUID(first.json()["id"]), 1)

    second = await sample.post("/v1/counters", Prm_Position=first.headers["Prm-Position"])

    assert second.status_code == 201


async def test_a_forged_position_is_refused(sample: Sample) -> None:
    answer = await sample.get(f"/v1/counters/{uuid4()}", Prm_Position="forged")

    assert (answer.status_code, answer.json()["type"]) == (400, "urn:problem:position-unreadable")
