"""The promises of the relay, on a real broker and a real database."""

import asyncio
import sys
from pathlib import Path
from typing import Any, LiteralString
from uuid import uuid4

import psycopg
import pytest
from aiokafka import AIOKafkaProducer

from chassis.consuming.tracking import Place
from chassis.publishing.ends import compare_ends
from chassis.publishing.relay import ALIVE_EVERY, Relay
from chassis.storage.event_store import PostgresEventStore
from chassis.storage.rounds import Connection
from chassis.storage.window import HEADER_ROOM, LARGEST_FACT
from chassis.testing import a_command
from prm_contracts.facts import encode

from .on_topic import assert_whole, published
from .parked import rows
from .reactions import (
    Ordered,
    Sample,
    Setup,
    Stranger,
    Tallied,
    notes_of,
    running,
    tallied,
    tally,
    until,
)

DEAD: LiteralString = (
    'INSERT INTO parking (subscriber, type, topic, partition, "offset", headers, kind, state,'
    " reason) VALUES ('', '', 't', 0, 0, '[]', 'untrustworthy', 'dead', 'noise')"
)


async def test_facts_lie_on_their_topic_in_the_order_of_the_store(
    setup: Setup, events: PostgresEventStore
) -> None:
    await tallied(events, 30)

    async with running(setup.relay()) as relay:
        await until(lambda: relay.published == 30)

    found = await published(setup)
    assert_whole(found, 30)
    assert len(found) == 30
    assert (relay.head, relay.reasons, relay.blocked) == (30, (), None)


async def test_a_record_is_a_cloud_event_in_binary_mode(
    setup: Setup, events: PostgresEventStore
) -> None:
    tally_id = uuid4()
    await events.execute(tally, a_command(), tally_id, "x")

    async with running(setup.relay()) as relay:
        await until(lambda: relay.published == 1)

    [found] = await published(setup)
    headers = {name: value.decode() for name, value in found.record.headers}
    assert found.record.key == str(tally_id).encode()
    assert Tallied.model_validate_json(found.data) == Tallied(order_id=tally_id, note="x")
    assert headers.keys() == {
        *("ce_specversion", "ce_id", "ce_type", "ce_source", "ce_subject", "ce_time"),
        *("ce_recordedat", "ce_dataschema", "ce_sequence", "ce_position", "ce_correlationid"),
        *("ce_commandid", "ce_actor", "ce_chain", "content-type"),
    }
    assert headers["ce_specversion"] == "1.0"
    assert headers["ce_type"] == "prm.tally.Tallied.v1"
    assert headers["ce_dataschema"] == "urn:prm:schema:prm.tally.Tallied.v1"
    assert headers["ce_source"] == f"urn:prm:{Sample(setup.run).name}"
    assert headers["ce_time"] == "2027-03-01T09:00:00.000000Z"
    assert headers["content-type"] == "application/json"


async def test_of_two_relays_one_leads_and_the_other_takes_over(
    setup: Setup, events: PostgresEventStore
) -> None:
    first, second = setup.relay(), setup.relay()
    async with running(second):
        async with running(first):
            await until(lambda: first.is_leader or second.is_leader)
            await tallied(events, 20)
            await until(lambda: max(first.published, second.published) == 20)
            assert first.is_leader != second.is_leader
        await until(lambda: second.is_leader)
        await tallied(events, 5)
        await until(lambda: second.published == 25)

    found = await published(setup)
    assert_whole(found, 25)
    assert len(found) == 25


async def test_a_relay_killed_between_send_and_confirmation_loses_nothing(
    setup: Setup, events: PostgresEventStore
) -> None:
    ids = [uuid4() for _ in range(5)]
    await tallied(events, 40, ids)
    with psycopg.connect(setup.dsn) as owner:  # a confirmation that never comes
        owner.execute(
            "CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$;"
            "CREATE TRIGGER slowly BEFORE UPDATE ON relay FOR EACH ROW EXECUTE FUNCTION slowly()"
        )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import runpy; runpy.run_module('tests.reactions', run_name='__main__')",
        setup.as_json(),
        cwd=Path(__file__).parents[1],
        stderr=asyncio.subprocess.DEVNULL,
    )

    async def all_sent() -> bool:
        return len(await published(setup)) >= 40

    await until(all_sent)
    process.kill()
    await process.wait()
    with psycopg.connect(setup.dsn, autocommit=True) as owner:
        owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE 'UPDATE relay%'"
        )
        owner.execute("DROP TRIGGER slowly ON relay")

    await tallied(events, 10, ids)
    async with running(setup.relay()) as relay:
        await until(lambda: relay.published == 50)

    found = await published(setup)
    assert len(found) > 50  # sent again, with the same bytes
    assert len({(it.position, it.event_id, it.data, it.record.headers) for it in found}) == 50
    assert_whole(found, 50)


async def test_a_gap_in_positions_stops_the_relay_and_says_so(
    setup: Setup, events: PostgresEventStore
) -> None:
    await tallied(events, 5)
    with psycopg.connect(setup.dsn) as owner:
        owner.execute("DELETE FROM events WHERE position = 3")

    async with running(setup.relay()) as relay:
        await until(lambda: any("position 3" in reason for reason in relay.reasons))

    assert relay.published == 0


async def test_a_store_that_was_set_back_is_blocked(
    setup: Setup, events: PostgresEventStore
) -> None:
    blocked: list[str | None] = []
    await tallied(events, 10)
    async with running(setup.relay()) as relay:
        await until(lambda: relay.published == 10)
    with psycopg.connect(setup.dsn) as owner:
        owner.execute("DELETE FROM events WHERE position > 6")
        owner.execute("UPDATE relay SET position = 6")

    sample = Sample(setup.run)
    relay = Relay(sample.name, setup.dsn, setup.bootstrap, sample.topics, blocked.append)
    async with running(relay):
        await until(lambda: relay.blocked)

    assert "prm restore" in (relay.blocked or "")
    assert blocked[0] == relay.blocked


async def test_records_of_strangers_at_the_end_of_a_topic_do_not_block_the_store(
    setup: Setup, events: PostgresEventStore
) -> None:
    await tallied(events, 4)
    async with running(setup.relay()) as relay:
        await until(lambda: relay.published == 4)
    producer = AIOKafkaProducer(bootstrap_servers=setup.bootstrap)
    await producer.start()
    for partition in (0, 1):
        for _ in range(12):
            await producer.send_and_wait(
                Sample(setup.run).tallies.name, b"noise", partition=partition
            )
    await producer.stop()

    async with running(setup.relay()) as relay:
        await until(lambda: relay.is_leader)

    assert relay.blocked is None


async def test_a_database_that_goes_away_does_not_end_the_relay(
    setup: Setup, events: PostgresEventStore
) -> None:
    async with running(setup.relay()) as relay:
        await until(lambda: relay.is_leader)
        with psycopg.connect(setup.dsn, autocommit=True) as owner:
            owner.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        await tallied(events, 3)
        await until(lambda: relay.published == 3)


async def test_a_batch_that_is_too_much_for_its_time_leaves_in_parts(
    setup: Setup, events: PostgresEventStore
) -> None:
    class Narrow(Relay):
        """To a broker so slow that more than that takes longer than a send may take."""

        async def _send(self, producer: Any, rows: Any) -> None:
            if len(rows) > 40:
                raise TimeoutError
            await super()._send(producer, rows)

    sample = Sample(setup.run)
    await tallied(events, 300)

    async with running(Narrow(sample.name, setup.dsn, setup.bootstrap, sample.topics)) as relay:
        await until(lambda: relay.published == 300)

    assert_whole(await published(setup), 300)


async def test_dead_letters_leave_also_while_there_is_always_more_to_send(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def always_some(*_: object) -> int:
        await asyncio.sleep(0)
        return 1

    monkeypatch.setattr(Relay, "_publish", always_some)
    with psycopg.connect(setup.dsn) as owner:
        owner.execute(DEAD)

    async with running(setup.relay()):
        await until(lambda: rows(setup.dsn, "SELECT is_published FROM parking") == [(True,)])


async def test_a_relay_that_compares_for_long_says_that_it_lives_and_leads(
    setup: Setup, events: PostgresEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow(connection: Connection, *given: Any) -> dict[Place, int]:
        await connection.now("SELECT FROM pg_sleep(%s)", (2.5 * ALIVE_EVERY,))
        return await compare_ends(connection, *given)

    monkeypatch.setattr("chassis.publishing.relay.compare_ends", slow)
    await tallied(events, 3)

    async with running(setup.relay()) as relay:
        await until(lambda: relay.published == 3)

    assert_whole(await published(setup), 3)


async def test_a_batch_of_the_largest_facts_leaves_whole(
    setup: Setup, events: PostgresEventStore
) -> None:
    """Seven times what a topic takes in one message."""
    largest = LARGEST_FACT - HEADER_ROOM - len(encode(Tallied(order_id=uuid4(), note="")))
    for count in range(60):
        await events.execute(tally, a_command(), uuid4(), f"{count:0>{largest}}")

    async with running(setup.relay()) as relay:
        await until(lambda: relay.published == 60)

    found = await published(setup)
    assert_whole(found, 60)
    assert {len(it.record.value or b"") for it in found} == {LARGEST_FACT - HEADER_ROOM}


async def test_relay_and_worker_start_without_a_broker_and_outlive_its_outage(
    setup: Setup, events: PostgresEventStore, backends: Any
) -> None:
    """The last test of the file: the broker comes back with what it had."""
    relay, worker = setup.relay(), setup.worker()
    backends.kafka.stop()
    try:
        async with running(relay), running(worker):
            await tallied(events, 3)
            await until(lambda: relay.reasons and not relay.is_leader)

            async def is_not_ready() -> bool:
                state = await worker.state()
                return state.lag == -1 and any("broker" in reason for reason in state.reasons)

            await until(is_not_ready)
            backends.kafka.start()
            await until(lambda: relay.published == 3, within=60)

            async def is_ready() -> bool:
                return not (await worker.state()).reasons

            await until(is_ready, within=60)
            backends.kafka.stop()
            await tallied(events, 3)
            await until(lambda: not relay.is_leader, within=60)
            backends.kafka.start()
            await until(lambda: relay.published == 6, within=60)
            await until(is_ready, within=60)
            async with Stranger(setup.bootstrap, Sample(setup.run).orders) as orders:
                await orders.say(uuid4(), Ordered(note="after"))
            await until(lambda: "after" in notes_of(setup.dsn), within=60)
    finally:
        backends.kafka.start()

    assert_whole(await published(setup), relay.published)
