"""The window of a worker: many commands in one open transaction, appended at its end."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import psycopg
import pytest
from pydantic import BaseModel

from chassis.errors import NotFound
from chassis.sql import Statement
from chassis.storage.migrate import migrate
from chassis.storage.postgres import connected
from chassis.storage.rounds import Connection
from chassis.storage.snapshots import keep, snapshot_of
from chassis.storage.window import (
    SNAPSHOT_AFTER,
    AlreadyDone,
    Clash,
    ConnectionWindow,
    UnsavedFacts,
    Window,
    known_commands,
    lock_append,
)
from chassis.testing import NOW, a_command, event_store, stored_facts

from .counters import Counter, count, open_counter
from .reactions import Tally

SOMETHING = UUID(int=99)


class Total(BaseModel):
    total: int


@pytest.fixture
def database(fresh_database: str) -> str:
    migrate(fresh_database)
    with psycopg.connect(fresh_database) as owner:
        owner.execute("CREATE TABLE totals (total integer NOT NULL)")
    return fresh_database


@pytest.fixture
async def connection(database: str) -> AsyncIterator[Connection]:
    async with await connected(database, autocommit=False) as open_connection:
        yield open_connection


async def opened(window: Window) -> UUID:
    return (await open_counter(window, a_command())).versions[0][0]


async def add_to_totals(connection: Connection) -> None:
    await connection.execute("INSERT INTO totals VALUES (1)")


def committed_totals(database: str) -> int:
    with psycopg.connect(database) as reader:
        return len(reader.execute("SELECT total FROM totals").fetchall())


async def test_a_command_sees_what_an_earlier_one_of_the_window_recorded(
    connection: Connection, database: str
) -> None:
    window = Window.on(connection)
    counter_id = await opened(window)
    await count(window, a_command(), counter_id)

    await window.append_and_commit(NOW)

    assert [stored.version for stored in stored_facts(database)] == [1, 2]


async def test_many_are_loaded_in_the_order_asked_each_once(connection: Connection) -> None:
    window = Window.on(connection)
    ids = [await opened(window) for _ in range(3)]
    await count(window, a_command(), ids[1], 7)
    await window.append_and_commit(NOW)

    later = Window.on(connection)
    first = await later.load(Counter, ids[0])
    asked = [ids[2], ids[1], ids[0], ids[1]]
    found = await later.load_many(Counter, asked)

    assert [counter.id for counter in found] == asked
    assert found[2] is first
    assert found[1] is found[3]
    assert [(counter.version, counter.total) for counter in found[:2]] == [(1, 0), (2, 7)]


async def test_of_many_one_that_is_missing_or_of_another_kind_is_not_found(
    connection: Connection,
) -> None:
    window = Window.on(connection)
    ids = [await opened(window), await opened(window)]
    await window.append_and_commit(NOW)
    later = Window.on(connection)

    with pytest.raises(NotFound) as missing:
        await later.load_many(Counter, [*ids, SOMETHING])
    with pytest.raises(NotFound):
        await Window.on(connection).load_many_or_new(Tally, ids)
    new = await later.load_many_or_new(Counter, [ids[0], SOMETHING])

    assert missing.value.id == SOMETHING
    assert [counter.version for counter in new] == [1, 0]


async def test_of_many_each_goes_on_from_its_own_snapshot(connection: Connection) -> None:
    window = Window.on(connection)
    short, long = await opened(window), await opened(window)
    for _ in range(SNAPSHOT_AFTER):
        await count(window, a_command(), long, 2)
    await window.append_and_commit(NOW)
    newest = snapshot_of(await Window.on(connection).load(Counter, long))
    assert newest
    await keep(connection, [newest])
    await connection.execute("UPDATE events SET data = 'torn' WHERE version BETWEEN 2 AND 90")

    found = await Window.on(connection).load_many(Counter, [short, long])

    assert [counter.total for counter in found] == [0, 2 * SNAPSHOT_AFTER]


async def test_facts_and_effects_are_committed_together(
    connection: Connection, database: str
) -> None:
    window = Window.on(connection)
    await add_to_totals(connection)
    await opened(window)

    await window.append_and_commit(NOW)

    assert (len(stored_facts(database)), committed_totals(database)) == (1, 1)


async def test_a_window_that_recorded_nothing_commits_its_effects(
    connection: Connection, database: str
) -> None:
    await add_to_totals(connection)

    await Window.on(connection).append_and_commit(NOW)

    assert committed_totals(database) == 1


async def test_rows_are_read_as_they_are_in_the_transaction(connection: Connection) -> None:
    await add_to_totals(connection)

    rows = await Window.on(connection).rows(Total, Statement("SELECT total FROM totals", {}))

    assert rows == [Total(total=1)]


async def overtaken_window(connection: Connection, database: str) -> tuple[ConnectionWindow, UUID]:
    """A window that decided on a counter which somebody else has counted since."""
    async with event_store(database) as events:
        counter_id = (await events.execute(open_counter, a_command())).versions[0][0]
        window = Window.on(connection)
        await add_to_totals(connection)
        await count(window, a_command(), counter_id)
        await events.execute(count, a_command(), counter_id)
    return window, counter_id


async def test_a_clash_leaves_neither_facts_nor_effects(
    connection: Connection, database: str
) -> None:
    window, counter_id = await overtaken_window(connection, database)

    with pytest.raises(Clash) as clash:
        await window.append_and_commit(NOW)
    await connection.rollback()

    assert clash.value.aggregate_ids == (counter_id,)
    assert (len(stored_facts(database)), committed_totals(database)) == (2, 0)


async def test_a_connection_goes_on_after_a_clash(connection: Connection, database: str) -> None:
    window, counter_id = await overtaken_window(connection, database)
    with pytest.raises(Clash):
        await window.append_and_commit(NOW)
    await connection.rollback()

    window = Window.on(connection)
    await count(window, a_command(), counter_id)
    await window.append_and_commit(NOW)

    assert [stored.version for stored in stored_facts(database)] == [1, 2, 3]


async def test_a_command_known_already_fails_the_window_and_is_named(
    connection: Connection, database: str
) -> None:
    once, new = a_command(), a_command()
    async with event_store(database) as events:
        await events.execute(open_counter, once)
    window = Window.on(connection)
    await open_counter(window, once)
    await open_counter(window, new)

    with pytest.raises(AlreadyDone) as done:
        await window.append_and_commit(NOW)
    await connection.rollback()

    assert done.value.command_ids == (once.command_id,)
    assert await known_commands(connection, [once.command_id, new.command_id]) == {once.command_id}


async def test_a_window_with_unsaved_facts_refuses_to_append(
    connection: Connection, database: str
) -> None:
    window = Window.on(connection)
    counter = await window.load(Counter, await opened(window))
    counter.count()

    with pytest.raises(UnsavedFacts):
        await window.append_and_commit(NOW)

    assert stored_facts(database) == []


async def test_set_back_forgets_what_was_recorded_since_and_keeps_what_was_before(
    connection: Connection, database: str
) -> None:
    window = Window.on(connection)
    counter_id = await opened(window)
    await count(window, a_command(), counter_id)
    mark = window.mark()
    await count(window, a_command(), counter_id, 5)
    (await window.load(Counter, counter_id)).count(7)  # the failing fact got this far

    window.set_back(mark)
    await count(window, a_command(), counter_id, 11)
    await window.append_and_commit(NOW)

    assert [stored.version for stored in stored_facts(database)] == [1, 2, 3]
    assert (await Window.on(connection).load(Counter, counter_id)).total == 12


async def test_several_saves_under_one_context_are_one_command(
    connection: Connection, database: str
) -> None:
    window, ctx = Window.on(connection), a_command()
    counter_id = await opened(window)
    await count(window, ctx, counter_id)
    await count(window, ctx, counter_id)

    await window.append_and_commit(NOW)

    async with event_store(database) as events:
        first = await events.first_outcome(ctx)
    assert first is not None
    assert first.versions == ((counter_id, 3),)


async def test_who_holds_the_append_lock_cannot_be_overtaken(
    connection: Connection, database: str
) -> None:
    await lock_append(connection)

    other = psycopg.connect(database, options="-c lock_timeout=50ms")
    with other, pytest.raises(psycopg.errors.LockNotAvailable):
        other.execute("SELECT lock_append()")


async def test_an_id_of_another_kind_is_missing(connection: Connection) -> None:
    class Other(Counter):
        pass

    window = Window.on(connection)
    counter_id = await opened(window)

    with pytest.raises(Other.not_found):
        await window.load(Other, counter_id)


async def test_append_refuses_any_isolation_but_read_committed(database: str) -> None:
    async with await connected(database, autocommit=False) as connection:
        await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
        window = Window.on(connection)
        await opened(window)

        with pytest.raises(psycopg.errors.InvalidTransactionState):
            await window.append_and_commit(NOW)


async def test_an_append_is_durable_although_the_session_would_not_wait(
    connection: Connection,
) -> None:
    await connection.execute("SET synchronous_commit = off")
    window = Window.on(connection)
    await opened(window)

    await window.append(NOW)

    shown = await connection.execute("SHOW synchronous_commit")
    assert await shown.fetchall() == [("on",)]


async def test_an_aggregate_that_nobody_stored_is_new(connection: Connection) -> None:
    counter = await Window.on(connection).load_or_new(Counter, uuid4())

    assert counter.version == 0
