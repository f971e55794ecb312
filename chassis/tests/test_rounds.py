"""Statements that travel together: in order, all answered, and a connection that stays usable."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import uvloop

from chassis.storage import rounds
from chassis.storage.postgres import connected
from chassis.storage.rounds import Connection


@pytest.fixture
async def connection(fresh_database: str) -> AsyncIterator[Connection]:
    async with await connected(fresh_database, autocommit=False) as connection:
        await connection.now("CREATE TABLE seen (note text PRIMARY KEY, number integer)")
        await connection.commit()
        yield connection


async def notes(connection: Connection) -> list[str]:
    return [row[0] for row in (await connection.now("SELECT note FROM seen ORDER BY 1")).rows]


async def test_what_was_collected_is_answered_in_its_order(connection: Connection) -> None:
    connection.later("INSERT INTO seen VALUES (%s, %s)", ("one", 1))
    before = connection.later("SELECT count(*) FROM seen")
    changed = connection.later("UPDATE seen SET number = number + %(by)s", {"by": 1})
    after = await connection.now("SELECT note, number FROM seen")

    assert before.rows == [(1,)]
    assert changed.count == 1
    assert after.dicts() == [{"note": "one", "number": 2}]


async def test_a_name_that_comes_twice_is_one_value_and_a_doubled_percent_is_one(
    connection: Connection,
) -> None:
    values = {"id": uuid4(), "nothing": None}

    found = await connection.now(
        "SELECT %(id)s::uuid, %(id)s::uuid = %(id)s, %(nothing)s::text, 'a' LIKE 'a%%'", values
    )

    assert found.rows == [(values["id"], True, None, True)]


async def test_an_error_ends_its_round_and_the_transaction_only(connection: Connection) -> None:
    for note in ("one", "one", "two"):
        connection.later("INSERT INTO seen (note) VALUES (%s)", (note,))
    with pytest.raises(psycopg.errors.UniqueViolation):
        await connection.round()
    await connection.rollback()

    connection.later("INSERT INTO seen (note) VALUES (%s)", ("three",))
    await connection.commit()

    assert await notes(connection) == ["three"]


async def test_what_was_collected_and_rolled_back_is_never_sent(connection: Connection) -> None:
    connection.later("INSERT INTO seen (note) VALUES ('one')")
    await connection.rollback()

    assert await notes(connection) == []


async def test_psycopg_sends_what_was_collected_first(connection: Connection) -> None:
    connection.later("INSERT INTO seen (note) VALUES ('one')")

    found = await connection.execute("SELECT note FROM seen")

    assert await found.fetchall() == [("one",)]


async def test_a_connection_is_closed_once_the_round_of_another_task_has_ended(
    fresh_database: str,
) -> None:
    async def fail() -> None:
        async with await connected(fresh_database, autocommit=False) as connection:
            reading.append(asyncio.create_task(connection.now("SELECT FROM pg_sleep(60)")))
            await asyncio.sleep(0)
            reading[0].cancel()
            raise LookupError

    reading: list[asyncio.Task[Any]] = []
    with pytest.raises(LookupError):
        await fail()

    assert reading[0].cancelled()


async def test_a_round_whose_connection_is_closed_is_lost_and_watches_no_socket(
    fresh_database: str,
) -> None:
    """The number of its socket may be another's next."""
    connection = await connected(fresh_database)
    reading = asyncio.create_task(connection.now("SELECT FROM pg_sleep(60)"))
    await asyncio.sleep(0)  # it has sent, and waits
    socket = connection.pgconn.socket

    await connection.close()

    assert not asyncio.get_running_loop().remove_reader(socket)
    with pytest.raises(psycopg.OperationalError):
        await reading


async def test_what_psycopg_forgets_after_a_rollback_is_not_what_rounds_prepared(
    connection: Connection,
) -> None:
    for _ in range(6):  # psycopg prepares what comes often, and forgets all of it when rolled back
        await connection.execute("SELECT 1 AS often")
    await connection.now("SELECT 2 AS kept")
    await connection.rollback()
    await connection.execute("SELECT 1 AS often")

    assert (await connection.now("SELECT 2 AS kept")).rows == [(2,)]


async def test_two_tasks_wait_for_each_other(connection: Connection) -> None:
    """As of a relay that compares what lies on its topics, and says meanwhile that it is alive."""
    found, _, later = await asyncio.gather(
        connection.now("SELECT 1 FROM pg_sleep(0.1)"),
        connection.execute("SELECT 2"),
        connection.now("SELECT 3"),
    )

    assert (found.rows, later.rows) == ([(1,)], [(3,)])


async def test_more_than_the_sockets_hold_goes_both_ways(connection: Connection) -> None:
    text = "x" * 100_000
    echoes = [connection.later("SELECT %s::text", (text,)) for _ in range(200)]

    await connection.round()

    assert all(echo.rows == [(text,)] for echo in echoes)


async def test_a_round_that_takes_too_long_leaves_a_connection_in_order(
    connection: Connection,
) -> None:
    connection.later("SELECT pg_sleep(60)")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await connection.now("INSERT INTO seen (note) VALUES ('late')")
    await connection.rollback()

    assert await notes(connection) == []


async def test_a_session_that_is_ended_says_so(connection: Connection, fresh_database: str) -> None:
    pid = connection.info.backend_pid
    await connection.now("SELECT 1")
    with psycopg.connect(fresh_database) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))

    with pytest.raises(psycopg.OperationalError):
        await connection.now("SELECT 1")

    assert connection.closed
    with pytest.raises(psycopg.OperationalError):
        await connection.now("SELECT 1")


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_session_that_the_server_ended_while_nobody_looked_is_lost_at_once(
    fresh_database: str, run: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    """libuv tells the reader of a socket nothing once it was written to after its end."""

    async def look() -> None:
        connection = await connected(fresh_database)
        [(pid,)] = (await connection.now("SELECT pg_backend_pid()")).rows
        with psycopg.connect(fresh_database) as admin:  # and this process does not look meanwhile
            admin.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
        async with asyncio.timeout(20):
            with pytest.raises(psycopg.OperationalError):
                await connection.now("SELECT 1")

    run(look())


async def test_looking_again_when_a_round_is_over_takes_nothing_more(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "LOOK_EVERY", 0.0)

    found = [(await connection.now("SELECT %s::int", (n,))).rows[0][0] for n in range(50)]

    assert found == list(range(50))
