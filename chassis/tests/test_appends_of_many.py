"""One call of `append` for many commands: its answer is one, whether or not they share a stream."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from chassis.storage.calls import TOO_LATE, Calls, Prepared, Row
from chassis.storage.migrate import migrate
from chassis.storage.new_facts import APPEND, NewCommand, append_arguments
from chassis.storage.postgres import connected
from chassis.storage.rounds import Connection
from chassis.storage.window import Window
from chassis.storage.wire import FIRST_CHAIN, chained
from chassis.testing import NOW, a_command

from .counters import Counter


@pytest.fixture
async def connection(fresh_database: str) -> AsyncIterator[Connection]:
    migrate(fresh_database)
    async with await connected(fresh_database) as connection:
        yield connection


async def command(connection: Connection, id: UUID, version: int, facts: int = 1) -> NewCommand:
    """One that counts the counter from this version on, whatever is stored."""
    ctx, window, counter = a_command(), Window.on(connection), Counter(id)
    counter.version = version - 1
    for _ in range(facts):
        counter.count()
    await window.save(ctx, counter)
    return window.commands[ctx.command_id]


async def append(connection: Connection, *commands: NewCommand) -> tuple[Any, ...]:
    found = await connection.execute(APPEND, append_arguments(commands, NOW))
    [answer] = await found.fetchall()
    return tuple(answer)


@pytest.mark.parametrize("version", [1, 3], ids=["taken", "skipping one"])
@pytest.mark.parametrize("facts", [1, 2], ids=["apart", "sharing a stream"])
async def test_of_many_commands_the_one_with_another_version_than_the_next_clashes_alone(
    connection: Connection, facts: int, version: int
) -> None:
    a, b = uuid4(), uuid4()
    await append(connection, await command(connection, a, 1))

    wrong = await command(connection, a, version)
    begun = await command(connection, b, 1, facts)
    head, repeated, clashed, moved = await append(connection, begun, wrong)

    assert (head, repeated, clashed, moved) == (1 + facts, [], [wrong.ctx.command_id], [a])


@pytest.mark.parametrize("facts", [1, 2], ids=["apart", "sharing a stream"])
async def test_many_commands_on_known_streams_are_chained_to_what_is_stored(
    connection: Connection, facts: int
) -> None:
    ids = [uuid4() for _ in range(5)]
    first = [await command(connection, each, 1) for each in ids]
    second = [await command(connection, each, 2, facts) for each in ids]

    assert (await append(connection, *first))[0] == 5
    assert (await append(connection, *second))[0] == 5 + 5 * facts

    rows = await connection.execute("SELECT position, aggregate_id, chain FROM events ORDER BY 1")
    heads = dict.fromkeys(ids, FIRST_CHAIN)
    told = [fact for each in (*first, *second) for fact in each.facts]
    for (position, stream, chain), fact in zip(await rows.fetchall(), told, strict=True):
        heads[fact.aggregate_id] = chained(heads[fact.aggregate_id], fact.digest)
        assert (stream, chain) == (fact.aggregate_id, heads[stream])
        assert fact is told[position - 1]


async def test_a_server_that_does_not_answer_is_left_and_all_who_wait_are_told(
    fresh_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chassis.storage.calls.ANSWER_WITHIN", 0.2)
    sleep = Prepared(b"sleep", b"SELECT pg_sleep($1)", [23])
    calls = await Calls.connect(fresh_database, [sleep])
    told: asyncio.Queue[Row | Exception] = asyncio.Queue()

    for _ in range(2):
        calls.call([(sleep, [(60).to_bytes(4, "big")])], told.put_nowait)

    assert [await asyncio.wait_for(told.get(), 5) for _ in range(2)] == [TOO_LATE, TOO_LATE]
    calls.call([(sleep, [(0).to_bytes(4, "big")])], told.put_nowait)
    assert isinstance(await told.get(), psycopg.OperationalError)
    await calls.close()
