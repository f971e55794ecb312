"""Reads that go out together: each gets its own answer, and none waits for another's fault."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import LiteralString

import psycopg
import pytest

from chassis.storage import calls
from chassis.storage.lines import Lines
from chassis.storage.placeholders import numbered
from chassis.storage.postgres import StoreUnavailable

OTHERS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> %s"


@pytest.fixture
async def lines(fresh_database: str) -> AsyncIterator[Lines]:
    lines = Lines(fresh_database)
    yield lines
    await lines.close()


async def answer(lines: Lines, number: int) -> int:
    [(found,)] = await lines.fetch("SELECT %s::int", (number,))
    return int(found)


async def test_each_of_many_gets_its_own_answer(lines: Lines) -> None:
    numbers = list(range(100))

    found = await asyncio.gather(*(answer(lines, number) for number in numbers))

    assert found == numbers


async def test_rows_have_the_names_of_their_columns(lines: Lines) -> None:
    query = "SELECT %(one)s::text AS a, %(other)s::int AS b, %(one)s || '%%' AS c"

    rows = await lines.dicts(query, {"other": 2, "one": "x", "unused": None})

    assert rows == [{"a": "x", "b": 2, "c": "x%"}]


def test_a_name_that_comes_again_keeps_its_number() -> None:
    assert numbered("SELECT %(b)s, %(a)s, %(b)s")[:2] == (b"SELECT $1, $2, $1", ("b", "a"))
    assert numbered("SELECT %s, %s, 1 %% 2")[:2] == (b"SELECT $1, $2, 1 % 2", ())


async def test_one_that_fails_fails_alone(lines: Lines) -> None:
    await answer(lines, 0)
    used = [*lines._lines]
    faulty = lines.fetch("SELECT 1 / %s::int", (0,))

    first, fault, second, third = await asyncio.gather(
        answer(lines, 1),
        faulty,
        answer(lines, 2),
        lines.fetch("SELECT 3", ()),
        return_exceptions=True,
    )

    assert isinstance(fault, psycopg.errors.DivisionByZero)
    assert [first, second, third] == [1, 2, [(3,)]]
    assert lines._lines == used


async def test_a_statement_that_cannot_be_prepared_fails_each_time_and_alone(lines: Lines) -> None:
    for _ in range(2):
        fault, found = await asyncio.gather(
            lines.fetch("SELECT nothing FROM nowhere", ()), answer(lines, 1), return_exceptions=True
        )

        assert isinstance(fault, psycopg.errors.UndefinedTable)
        assert found == 1


async def test_who_leaves_disturbs_nobody(lines: Lines) -> None:
    await answer(lines, 0)
    leaving = asyncio.create_task(answer(lines, 1))
    staying = asyncio.create_task(answer(lines, 2))
    await asyncio.sleep(0)

    leaving.cancel()

    assert await staying == 2
    assert leaving.cancelled()


async def test_terminated_connections_are_not_noticed(lines: Lines, fresh_database: str) -> None:
    await answer(lines, 0)
    with psycopg.connect(fresh_database, autocommit=True) as owner:
        for (pid,) in owner.execute(OTHERS, (owner.info.backend_pid,)).fetchall():
            owner.execute("SELECT pg_terminate_backend(%s)", (pid,))

    assert list(await asyncio.gather(answer(lines, 1), answer(lines, 2))) == [1, 2]


async def test_a_long_read_does_not_hold_up_those_who_come_later(lines: Lines) -> None:
    await answer(lines, 0)
    [line] = lines._lines
    long = asyncio.create_task(lines.fetch("SELECT pg_sleep(%s)", (60.0,)))
    while line.is_prompt(time.monotonic()):
        await asyncio.sleep(0)

    found = await asyncio.gather(*(answer(lines, number) for number in range(100)))

    assert found == list(range(100))
    assert not long.done()
    long.cancel()


async def test_a_server_that_hangs_is_left(
    lines: Lines, fresh_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "ANSWER_WITHIN", 0.1)

    with pytest.raises(StoreUnavailable):
        await lines.fetch("SELECT pg_sleep(%s)", (30.0,))

    assert await answer(lines, 1) == 1


async def test_without_the_database_it_says_so() -> None:
    lines = Lines("postgresql://127.0.0.1:1/none")

    outcomes = await asyncio.gather(*(answer(lines, 1) for _ in range(3)), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 3


async def test_what_would_write_is_refused(lines: Lines) -> None:
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        await lines.fetch("CREATE TABLE written (id int)", ())


async def test_statements_are_planned_once_and_for_the_indexes(lines: Lines) -> None:
    shown = await lines.fetch(
        "SELECT current_setting('plan_cache_mode'), current_setting('enable_seqscan'),"
        " current_setting('lock_timeout')",
        (),
    )

    assert shown == [("force_generic_plan", "off", "5s")]


KEYS = """
CREATE TABLE keys (kind text, key text, id uuid, PRIMARY KEY (kind, key, id));
CREATE INDEX ON keys (id)"""
FILL = "INSERT INTO keys SELECT 'name', n::text, gen_random_uuid() FROM generate_series(1, 5000) n"
OF_ONE_NAME: LiteralString = """
SELECT id, kind, key FROM keys WHERE id IN (
    SELECT unnest(%s::uuid[])
    UNION (SELECT id FROM keys WHERE kind = 'name' AND key = ANY (%s)
        GROUP BY id ORDER BY count(*) DESC LIMIT 9))"""
READ: LiteralString = "SELECT sum(idx_tup_read)::int FROM pg_stat_user_indexes"


async def test_a_join_that_was_planned_while_its_table_was_empty_reads_no_more_than_it_needs(
    lines: Lines, fresh_database: str
) -> None:
    with psycopg.connect(fresh_database) as owner:
        owner.execute(KEYS.encode())
    await lines.fetch(OF_ONE_NAME, ([], ["17"]))
    with psycopg.connect(fresh_database) as owner:
        owner.execute(FILL)

    found = await lines.fetch(OF_ONE_NAME, ([], ["17"]))
    await lines.fetch("SELECT pg_stat_force_next_flush()", ())

    assert [row[2] for row in found] == ["17"]
    assert (await lines.fetch(READ, ()))[0][0] < 10
