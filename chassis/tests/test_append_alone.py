"""A fact that is alone is appended as `append` does it, which is asked where it cannot be."""

from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from chassis.context import Context
from chassis.storage import alone
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
    """A writer with one command at a time; `asked`: its statements, the last of each call."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        options = make_conninfo(dsn, options=LAX)
        self.writer = Writer(options, lambda: NOW, lambda _: None, Sight().metrics)
        self.asked: list[bytes] = []

    async def watch(self) -> None:
        calls = await self.writer._connected()
        call = calls.call

        def watched(asked: Sequence[Asked], answered: Answered) -> None:
            self.asked.append(asked[-1][0].name)
            call(asked, answered)

        calls.call = watched  # type: ignore[method-assign]

    async def append(self, id: UUID, version: int, ctx: Context | None = None) -> NewCommand:
        """One that counts the counter as its `version`, whatever is stored."""
        ctx, counter = ctx or a_command(), Counter(id)
        counter.version = version - 1
        counter.count()
        async with await connected(self.dsn) as connection:
            window = Window.on(connection)
            await window.save(ctx, counter)
        await self.writer.append(window.commands[ctx.command_id])
        return window.commands[ctx.command_id]

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


async def test_it_follows_what_is_stored_in_its_stream_and_in_the_store(lone: Lone) -> None:
    a, b = uuid4(), uuid4()
    appended = [await lone.append(*each) for each in ((a, 1), (b, 1), (a, 2), (a, 3))]

    heads = dict.fromkeys((a, b), FIRST_CHAIN)
    rows = lone.rows("SELECT position, aggregate_id, version, chain, recorded_at FROM events")
    for place, (row, command) in enumerate(zip(sorted(rows), appended, strict=True), 1):
        [fact] = command.facts
        heads[fact.aggregate_id] = chained(heads[fact.aggregate_id], fact.digest)
        assert row[:4] == (place, fact.aggregate_id, fact.version, heads[fact.aggregate_id])
    assert len({row[4] for row in rows}) == 4
    assert lone.asked == [alone.APPEND.name] * 4


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
    if has_recorded:
        await lone.append(uuid4(), 1, ctx)
    else:
        async with await connected(lone.dsn) as connection:
            await connection.now(NOTE_OUTCOME, (ctx.command_id, ctx.request_hash, "[]"))
    before = lone.rows("SELECT * FROM events")

    with pytest.raises(AlreadyDone) as known:
        await lone.append(uuid4(), 1, ctx)

    assert known.value.command_ids == (ctx.command_id,)
    assert lone.rows("SELECT * FROM events") == before


async def test_it_waits_for_the_disk_and_sees_the_head_whatever_the_session_was_told(
    lone: Lone,
) -> None:
    with psycopg.connect(lone.dsn) as owner:
        owner.execute(OF_THE_SESSION.encode())

    await lone.append(uuid4(), 1)

    assert lone.rows("SELECT * FROM seen") == [("on", "read committed")]
