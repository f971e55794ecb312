"""A fact that is alone, and a few of different streams, are appended as `append` does it, which is
asked where they cannot be.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from chassis.context import Context
from chassis.storage import alone, apart
from chassis.storage.calls import Answered, Asked
from chassis.storage.event_store import NOTE_OUTCOME
from chassis.storage.migrate import migrate
from chassis.storage.new_facts import NewCommand
from chassis.storage.postgres import connected
from chassis.storage.window import AlreadyDone, Clash, Window
from chassis.storage.wire import FIRST_CHAIN, chained
from chassis.storage.writer import ALL, Writer
from chassis.telemetry.sight import Sight
from chassis.testing import NOW, a_command

from .counters import Counter

LAX = r"-c synchronous_commit=off -c default_transaction_isolation=repeatable\ read"
OF_THE_SESSION = """
CREATE TABLE seen (synchronous_commit text, isolation text);
CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO seen VALUES
        (current_setting('synchronous_commit'), current_setting('transaction_isolation'));
    RETURN NULL;
END $$;
CREATE TRIGGER see AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION see()"""


class Lone:
    """A writer that nobody else has; `asked`: its statements, the last of each call; `heads`: what
    it told of the store's end.
    """

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        options = make_conninfo(dsn, options=LAX)
        self.heads: list[int] = []
        self.writer = Writer(options, lambda: NOW, self.heads.append, Sight().metrics)
        self.asked: list[bytes] = []

    async def watch(self) -> None:
        calls = await self.writer._connected()
        call = calls.call

        def watched(asked: Sequence[Asked], answered: Answered) -> None:
            self.asked.append(asked[-1][0].name)
            call(asked, answered)

        calls.call = watched  # type: ignore[method-assign]

    async def command(self, id: UUID, version: int, ctx: Context | None = None) -> NewCommand:
        """One that counts the counter as its `version`, whatever is stored."""
        ctx, counter = ctx or a_command(), Counter(id)
        counter.version = version - 1
        counter.count()
        async with await connected(self.dsn) as connection:
            window = Window.on(connection)
            await window.save(ctx, counter)
        return window.commands[ctx.command_id]

    async def append(self, id: UUID, version: int, ctx: Context | None = None) -> NewCommand:
        command = await self.command(id, version, ctx)
        await self.writer.append(command)
        return command

    async def append_at_once(self, *commands: NewCommand) -> list[BaseException | None]:
        """Those of the first half together, and those of the second."""
        asked = (self.writer.append(command) for command in commands)
        return await asyncio.gather(*asked, return_exceptions=True)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn) as connection:
            return connection.execute(query.encode()).fetchall()


@pytest.fixture
async def lone(fresh_database: str) -> AsyncIterator[Lone]:
    migrate(fresh_database)
    lone = Lone(fresh_database)
    await lone.watch()
    yield lone
    await lone.writer.close()


async def known(lone: Lone, ctx: Context, has_recorded: bool) -> None:
    """From now on."""
    if has_recorded:
        await lone.append(uuid4(), 1, ctx)
        return
    async with await connected(lone.dsn) as connection:
        await connection.now(NOTE_OUTCOME, (ctx.command_id, ctx.request_hash, "[]"))


def expect_stored(lone: Lone, appended: Sequence[NewCommand]) -> None:
    """Nothing but these, in this order."""
    heads: dict[UUID, bytes] = {}
    rows = lone.rows("SELECT position, aggregate_id, version, chain, recorded_at FROM events")
    for place, (row, command) in enumerate(zip(sorted(rows), appended, strict=True), 1):
        [fact] = command.facts
        chain = chained(heads.get(fact.aggregate_id, FIRST_CHAIN), fact.digest)
        assert row[:4] == (place, fact.aggregate_id, fact.version, chain)
        heads[fact.aggregate_id] = chain
    assert len({row[4] for row in rows}) == len(rows)


async def test_it_follows_what_is_stored_in_its_stream_and_in_the_store(lone: Lone) -> None:
    a, b = uuid4(), uuid4()
    appended = [await lone.append(*each) for each in ((a, 1), (b, 1), (a, 2), (a, 3))]

    expect_stored(lone, appended)
    assert lone.asked == [alone.APPEND.name] * 4


async def test_a_few_follow_what_is_stored_in_their_streams_and_in_the_store(lone: Lone) -> None:
    streams = [uuid4() for _ in range(8)]
    appended = [await lone.command(each, version) for version in (1, 2) for each in streams]

    assert await lone.append_at_once(*appended[:8]) == [None] * 8
    assert await lone.append_at_once(*appended[8:]) == [None] * 8

    expect_stored(lone, appended)
    assert lone.asked == [apart.APPEND.name] * 4
    assert lone.heads == [4, 8, 12, 16]


@pytest.mark.parametrize("version", [1, 3], ids=["taken", "skipping one"])
async def test_of_a_few_the_one_with_another_version_than_the_next_clashes(
    lone: Lone, version: int
) -> None:
    moved = await lone.command(uuid4(), 1)
    others = [await lone.command(uuid4(), 1) for _ in range(5)]
    await lone.append_at_once(moved, *others[:3])
    wrong = await lone.command(moved.facts[0].aggregate_id, version)

    done = await lone.append_at_once(others[3], wrong, others[4])

    clash = done.pop(1)
    assert isinstance(clash, Clash)
    assert clash.aggregate_ids == (moved.facts[0].aggregate_id,)
    assert done == [None, None]
    assert sorted(lone.rows("SELECT position FROM events")) == [(place,) for place in range(1, 7)]
    assert lone.asked[2:] == [apart.APPEND.name, alone.APPEND.name, ALL.name]


@pytest.mark.parametrize("has_recorded", [True, False])
async def test_of_a_few_the_command_that_is_known_is_not_done_again(
    lone: Lone, has_recorded: bool
) -> None:
    ctx = a_command()
    await known(lone, ctx, has_recorded)
    before = lone.rows("SELECT * FROM events")
    again, *others = [await lone.command(uuid4(), 1, each) for each in (ctx, None, None)]

    done = await lone.append_at_once(others[0], again, others[1])

    assert [type(each) for each in done] == [type(None), AlreadyDone, type(None)]
    assert len(lone.rows("SELECT * FROM events")) == len(before) + 2
    asked = [alone.APPEND.name, apart.APPEND.name, ALL.name]
    assert sorted(lone.asked[has_recorded:]) == sorted(asked)


async def test_two_facts_of_one_stream_do_not_go_by_a_plain_statement(lone: Lone) -> None:
    stream = uuid4()
    appended = [
        await lone.command(*each) for each in ((stream, 1), (stream, 2), (uuid4(), 1), (uuid4(), 1))
    ]

    assert await lone.append_at_once(*appended) == [None] * 4

    expect_stored(lone, appended)
    assert lone.asked == [ALL.name, apart.APPEND.name]


@pytest.mark.parametrize("version", [1, 3], ids=["taken", "skipping one"])
async def test_with_another_version_than_the_next_it_clashes(lone: Lone, version: int) -> None:
    stream = uuid4()
    await lone.append(stream, 1)

    with pytest.raises(Clash) as clash:
        await lone.append(stream, version)

    assert clash.value.aggregate_ids == (stream,)
    assert lone.rows("SELECT count(*) FROM events") == [(1,)]
    assert lone.asked == [alone.APPEND.name, alone.APPEND.name, ALL.name]


@pytest.mark.parametrize("has_recorded", [True, False])
async def test_a_command_that_is_known_is_not_done_again(lone: Lone, has_recorded: bool) -> None:
    ctx = a_command()
    await known(lone, ctx, has_recorded)
    before = lone.rows("SELECT * FROM events")

    with pytest.raises(AlreadyDone) as done:
        await lone.append(uuid4(), 1, ctx)

    assert done.value.command_ids == (ctx.command_id,)
    assert lone.rows("SELECT * FROM events") == before


async def test_it_waits_for_the_disk_and_sees_the_head_whatever_the_session_was_told(
    lone: Lone,
) -> None:
    with psycopg.connect(lone.dsn) as owner:
        owner.execute(OF_THE_SESSION.encode())

    await lone.append(uuid4(), 1)

    assert lone.rows("SELECT * FROM seen") == [("on", "read committed")]
