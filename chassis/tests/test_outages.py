"""The event store while its database is away, is killed, or loses connections at the worst time."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import cast

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from chassis.storage.event_store import PostgresEventStore
from chassis.storage.migrate import migrate
from chassis.storage.postgres import StoreUnavailable
from chassis.store import Saved
from chassis.testing import NOW, a_command, event_store, stored_facts
from ops.local import LocalServer
from ops.testing import own_backends

from .counters import count, open_counter


@pytest.fixture
def own_server() -> Iterator[LocalServer]:
    """A PostgreSQL that this test may kill."""
    with own_backends() as backends:
        if not isinstance(backends.postgres, LocalServer):
            pytest.skip("the database is given by its address: it is not ours to kill")
        yield backends.postgres


async def eventually(events: PostgresEventStore, within: float = 15) -> Saved:
    until = time.monotonic() + within
    while True:
        try:
            return await events.execute(open_counter, a_command())
        except StoreUnavailable:
            assert time.monotonic() < until, "the store did not come back"


async def test_a_killed_database_is_answered_with_503_and_commands_go_on_when_it_is_back(
    own_server: LocalServer,
) -> None:
    dsn = own_server.start()
    async with event_store(dsn) as events:
        counter_id = (await events.execute(open_counter, a_command())).versions[0][0]
        own_server.kill()

        started = time.monotonic()
        outcomes = await asyncio.gather(
            *(events.execute(open_counter, a_command()) for _ in range(20)),
            events.execute(count, a_command(), counter_id),
            return_exceptions=True,
        )
        refused_within = time.monotonic() - started
        own_server.start()
        await eventually(events)
        counted = await events.execute(count, a_command(), counter_id)

    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 21
    assert refused_within < 10
    assert counted.versions == ((counter_id, 2),)


async def test_a_store_opens_without_its_database(fresh_database: str) -> None:
    with socket.socket() as taken:  # bound and never listening: a port that refuses
        taken.bind(("127.0.0.1", 0))
        nowhere = make_conninfo(fresh_database, port=taken.getsockname()[1])
        events = PostgresEventStore(nowhere, lambda: NOW)
        await events.open()

        with pytest.raises(StoreUnavailable):
            await events.execute(open_counter, a_command())
        await events.close()


async def test_terminated_connections_are_not_noticed_by_callers(fresh_database: str) -> None:
    async with event_store(fresh_database) as events:
        counter_id = (await events.execute(open_counter, a_command())).versions[0][0]
        for version in range(2, 5):
            with psycopg.connect(fresh_database) as admin:
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )

            counted = await events.execute(count, a_command(), counter_id)

            assert counted == Saved(((counter_id, version),))


class LosesAnswers:
    """Between client and server. When told, it passes what is asked and cuts before the answer."""

    def __init__(self, dsn: str) -> None:
        self.server = conninfo_to_dict(dsn)
        self.is_cutting = False
        self.cuts = 0
        self.serving: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.serving.add(cast("asyncio.Task[None]", asyncio.current_task()))
        up_reader, up_writer = await asyncio.open_connection(
            str(self.server["host"]), int(str(self.server["port"]))
        )
        asked = asyncio.create_task(self.pass_on(reader, up_writer))
        try:
            while chunk := await up_reader.read(65536):
                if self.is_cutting:
                    self.is_cutting, self.cuts = False, self.cuts + 1
                    break
                writer.write(chunk)
        finally:
            asked.cancel()
            for end in (writer, up_writer):
                end.close()
            await asyncio.gather(
                asked, writer.wait_closed(), up_writer.wait_closed(), return_exceptions=True
            )

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65536):
            writer.write(chunk)


@asynccontextmanager
async def losing_answers(dsn: str) -> AsyncIterator[tuple[LosesAnswers, str]]:
    proxy = LosesAnswers(dsn)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield proxy, make_conninfo(dsn, host="127.0.0.1", port=port, sslmode="disable")
    finally:
        server.close()
        for connection in proxy.serving:
            connection.cancel()
        await asyncio.gather(*proxy.serving, return_exceptions=True)


async def test_commands_committed_while_the_answer_was_lost_are_neither_lost_nor_doubled(
    fresh_database: str,
) -> None:
    migrate(fresh_database)
    async with losing_answers(fresh_database) as (proxy, dsn), opened_store(dsn) as events:
        await events.execute(open_counter, a_command())
        proxy.is_cutting = True

        saved = await asyncio.gather(
            *(events.execute(open_counter, a_command()) for _ in range(10))
        )

    assert proxy.cuts == 1
    assert all(not each.is_repeat for each in saved)
    assert len({each.versions for each in saved}) == 10
    assert [stored.position for stored in stored_facts(fresh_database)] == list(range(1, 12))


@asynccontextmanager
async def opened_store(dsn: str) -> AsyncIterator[PostgresEventStore]:
    store = PostgresEventStore(dsn, lambda: NOW)
    await store.open()
    try:
        yield store
    finally:
        await store.close()
