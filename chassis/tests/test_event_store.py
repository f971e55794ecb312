"""The promises of the event store to a command, on a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from chassis.context import Actor, Context
from chassis.errors import NotFound, PreconditionFailed
from chassis.storage.event_store import (
    CommandStillRunning,
    IdempotencyKeyReused,
    PostgresEventStore,
    StoreBlocked,
    TooManyClashes,
)
from chassis.storage.window import FactTooLarge, UnsavedFacts
from chassis.store import Saved, Store
from chassis.testing import NOW, a_command, event_store, stored_facts

from .counters import Counted, Counter, CounterFull, CounterOpened, count, count_all, open_counter

ALPHA, BOREALIS = UUID(int=1), UUID(int=2)


@pytest.fixture
async def events(fresh_database: str) -> AsyncIterator[PostgresEventStore]:
    async with event_store(fresh_database) as store:
        yield store


async def opened(events: PostgresEventStore, tenant_id: UUID | None = None) -> UUID:
    saved = await events.execute(open_counter, a_command(), tenant_id)
    return saved.versions[0][0]


async def test_what_a_command_records_is_loaded_by_the_next(
    events: PostgresEventStore, fresh_database: str
) -> None:
    counter_id = await opened(events)

    saved = await events.execute(count, a_command(), counter_id, 5)

    assert saved == Saved(((counter_id, 2),))
    assert [stored.fact for stored in stored_facts(fresh_database)] == [
        CounterOpened(),
        Counted(step=5),
    ]


async def test_a_missing_aggregate_is_its_own_refusal(events: PostgresEventStore) -> None:
    with pytest.raises(NotFound):
        await events.execute(count, a_command(), uuid4())


async def test_somebody_elses_aggregate_is_not_found_before_its_version_is_looked_at(
    events: PostgresEventStore,
) -> None:
    counter_id = await opened(events, ALPHA)

    with pytest.raises(NotFound):
        await events.execute(count, a_command(Actor(uuid4(), BOREALIS), if_match=7), counter_id)


async def test_a_version_that_has_passed_is_refused(events: PostgresEventStore) -> None:
    counter_id = await opened(events, ALPHA)
    await events.execute(count, a_command(), counter_id)

    with pytest.raises(PreconditionFailed) as refused:
        await events.execute(count, a_command(Actor(uuid4(), ALPHA), if_match=1), counter_id)

    assert refused.value.version == 2


async def test_a_repeated_command_answers_with_its_first_outcome(
    events: PostgresEventStore, fresh_database: str
) -> None:
    counter_id, once = await opened(events), a_command()
    first = await events.execute(count, once, counter_id)
    await events.execute(count, a_command(), counter_id)

    again = await events.execute(count, once, counter_id)

    assert again == Saved(first.versions, is_repeat=True)
    assert len(stored_facts(fresh_database)) == 3


async def test_a_repeat_that_a_later_state_would_refuse_answers_with_its_first_outcome(
    events: PostgresEventStore,
) -> None:
    counter_id, once = await opened(events), a_command()
    first = await events.execute(count, once, counter_id, 1, limit=1)

    again = await events.execute(count, once, counter_id, 1, limit=1)

    assert again == Saved(first.versions, is_repeat=True)


async def test_a_repeat_with_a_passed_if_match_answers_with_its_first_outcome(
    events: PostgresEventStore,
) -> None:
    counter_id, once = await opened(events), a_command(if_match=1)
    first = await events.execute(count, once, counter_id)

    again = await events.execute(count, once, counter_id)

    assert again == Saved(first.versions, is_repeat=True)


async def test_a_refused_command_is_decided_anew(events: PostgresEventStore) -> None:
    counter_id, once = await opened(events), a_command()
    with pytest.raises(CounterFull):
        await events.execute(count, once, counter_id, 2, limit=1)

    saved = await events.execute(count, once, counter_id, 2, limit=2)

    assert saved == Saved(((counter_id, 2),))


async def test_a_command_that_recorded_nothing_keeps_its_outcome(
    events: PostgresEventStore,
) -> None:
    counter_id, once = await opened(events), a_command()
    first = await events.execute(count, once, counter_id, 0)
    await events.execute(count, a_command(), counter_id)

    again = await events.execute(count, once, counter_id, 0)

    assert first == Saved(((counter_id, 1),))
    assert again == Saved(first.versions, is_repeat=True)


async def test_a_repeat_names_the_addressed_aggregate_first_even_if_it_recorded_nothing(
    events: PostgresEventStore,
) -> None:
    async def count_the_second(store: Store, ctx: Context, first: UUID, second: UUID) -> Saved:
        addressed, other = await store.load(Counter, first), await store.load(Counter, second)
        other.count()
        return await store.save(ctx, addressed, other)

    ids, once = (await opened(events), await opened(events)), a_command()
    first = await events.execute(count_the_second, once, *ids)

    again = await events.execute(count_the_second, once, *ids)

    assert again.versions == first.versions == ((ids[0], 1), (ids[1], 2))


@pytest.mark.parametrize("step", [0, 1])
async def test_a_key_of_another_request_is_refused(events: PostgresEventStore, step: int) -> None:
    counter_id, command_id = await opened(events), uuid4()
    await events.execute(count, a_command(id=command_id, request_hash="aa"), counter_id, step)

    with pytest.raises(IdempotencyKeyReused):
        await events.execute(count, a_command(id=command_id, request_hash="bb"), counter_id, step)


async def test_a_command_that_is_running_is_not_started_again(events: PostgresEventStore) -> None:
    started, go_on = asyncio.Event(), asyncio.Event()

    async def slow(store: Store, ctx: Context) -> Saved:
        started.set()
        await go_on.wait()
        return await open_counter(store, ctx)

    once = a_command()
    first = asyncio.create_task(events.execute(slow, once))
    await started.wait()
    with pytest.raises(CommandStillRunning):
        await events.execute(slow, once)
    go_on.set()

    counted = await events.execute(count, a_command(), (await first).versions[0][0])
    assert counted.versions[0][1] == 2


async def test_commands_on_one_aggregate_queue_instead_of_clashing(
    events: PostgresEventStore,
) -> None:
    counter_id, tries = await opened(events), 0

    async def counted_try(store: Store, ctx: Context) -> Saved:
        nonlocal tries
        tries += 1
        return await count(store, ctx, counter_id)

    saved = await asyncio.gather(*(events.execute(counted_try, a_command()) for _ in range(50)))

    assert sorted(it.versions[0][1] for it in saved) == list(range(2, 52))
    assert tries == 50


async def test_commands_that_load_the_same_aggregates_in_any_order_all_succeed(
    events: PostgresEventStore,
) -> None:
    a, b, c = uuid4(), uuid4(), uuid4()
    orders = [(a, b, c), (c, b, a), (b, c, a), (c, a, b)] * 10

    async with asyncio.timeout(30):
        await asyncio.gather(*(events.execute(count_all, a_command(), *ids) for ids in orders))
        saved = await events.execute(count_all, a_command(), a, b, c)

    assert saved.versions == ((a, 41), (b, 41), (c, 41))


async def test_a_command_that_always_clashes_gives_up_after_five_tries(
    events: PostgresEventStore,
) -> None:
    counter_id, tries = await opened(events), 0

    async def overtaken(store: Store, ctx: Context) -> Saved:
        nonlocal tries
        tries += 1
        counter = Counter(counter_id)  # not loaded: decides on a state that has passed
        counter.open()
        return await store.save(ctx, counter)

    with pytest.raises(TooManyClashes):
        await events.execute(overtaken, a_command())

    assert tries == 5


async def test_several_aggregates_are_appended_all_or_none(
    events: PostgresEventStore, fresh_database: str
) -> None:
    async def half_passed(store: Store, ctx: Context, passed: UUID) -> Saved:
        fresh, stale = Counter(ctx.new_id("counter")), Counter(passed)
        fresh.open()
        stale.open()
        return await store.save(ctx, fresh, stale)

    counter_id = await opened(events)

    with pytest.raises(TooManyClashes):
        await events.execute(half_passed, a_command(), counter_id)

    assert [stored.aggregate_id for stored in stored_facts(fresh_database)] == [counter_id]


async def test_facts_that_were_recorded_and_not_saved_fail_the_command(
    events: PostgresEventStore, fresh_database: str
) -> None:
    async def forgetful(store: Store, ctx: Context, counter_id: UUID) -> Saved:
        (await store.load(Counter, counter_id)).count()
        return await open_counter(store, ctx)

    counter_id = await opened(events)

    with pytest.raises(UnsavedFacts, match=str(counter_id)):
        await events.execute(forgetful, a_command(), counter_id)

    assert len(stored_facts(fresh_database)) == 1


async def test_a_fact_over_the_limit_is_refused_and_one_at_the_limit_is_kept(
    events: PostgresEventStore,
) -> None:
    fixed = len(CounterOpened().model_dump_json())
    at_limit = (256 - 2) * 1024 - fixed  # 2 KiB are left for the headers

    with pytest.raises(FactTooLarge):
        await events.execute(open_counter, a_command(), None, "x" * (at_limit + 1))
    saved = await events.execute(open_counter, a_command(), None, "x" * at_limit)

    counted = await events.execute(count, a_command(), saved.versions[0][0])
    assert counted.versions[0][1] == 2


async def test_a_blocked_store_refuses_every_command_and_says_why(
    events: PostgresEventStore,
) -> None:
    events.blocked = "prm.counters is ahead of the database"

    with pytest.raises(StoreBlocked) as refused:
        await events.execute(open_counter, a_command())

    assert refused.value.reason == "prm.counters is ahead of the database"
    assert "prm restore" in (StoreBlocked.__doc__ or "")


async def test_the_relay_is_woken_after_each_commit(fresh_database: str) -> None:
    heads: list[int] = []
    async with event_store(fresh_database, on_appended=heads.append) as events:
        await opened(events)
        await opened(events)
        with pytest.raises(NotFound):
            await events.execute(count, a_command(), uuid4())

    assert heads == [1, 2]


async def test_a_command_that_the_database_refuses_fails_alone(
    events: PostgresEventStore, fresh_database: str
) -> None:
    with psycopg.connect(fresh_database) as owner:
        owner.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE 'poison'; END $$"
        )
        owner.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON events FOR EACH ROW"
            " WHEN (convert_from(NEW.data, 'UTF8') LIKE '%%poison%%') EXECUTE FUNCTION refuse()"
        )

    notes = ["a", "b", "poison", "c"]
    answers = await asyncio.gather(
        *(events.execute(open_counter, a_command(), None, note) for note in notes),
        return_exceptions=True,
    )

    assert [isinstance(answer, Saved) for answer in answers] == [True, True, False, True]
    assert isinstance(answers[2], psycopg.errors.RaiseException)


async def test_recorded_times_rise_with_the_position_although_the_clock_stands(
    events: PostgresEventStore, fresh_database: str
) -> None:
    await asyncio.gather(*(opened(events) for _ in range(5)))
    await opened(events)

    with psycopg.connect(fresh_database) as connection:
        found = connection.execute("SELECT recorded_at FROM events ORDER BY position").fetchall()
    microseconds = [timedelta(microseconds=number) for number in range(6)]
    assert [recorded_at for (recorded_at,) in found] == [NOW + it for it in microseconds]


async def test_event_ids_are_uuids_of_version_7(
    events: PostgresEventStore, fresh_database: str
) -> None:
    await opened(events)

    with psycopg.connect(fresh_database) as connection:
        [(event_id,)] = connection.execute("SELECT event_id FROM events").fetchall()
    assert event_id.version == 7
    assert event_id.variant == "specified in RFC 4122"
    assert event_id.int >> 80 == int(NOW.timestamp() * 1000)
