"""The event store against a small model: lists of totals, and what each command answered."""

import asyncio
import os
from collections.abc import Coroutine, Sequence
from typing import Any, ClassVar, TypeVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from chassis.context import Context
from chassis.storage.calls import LOST, Answered, Asked
from chassis.storage.event_store import IdempotencyKeyReused, PostgresEventStore
from chassis.storage.migrate import migrate
from chassis.storage.rounds import Connection
from chassis.storage.window import Clash, Window
from chassis.store import Saved, Store
from chassis.testing import NOW, a_command

from .counters import Counter, CounterFull

R = TypeVar("R")


def an_id(number: int) -> UUID:
    return UUID(int=number)


IDS = st.lists(st.integers(1, 4).map(an_id), min_size=1, max_size=3, unique=True)
KEYS = st.integers(100, 107).map(an_id)  # few, so that commands are repeated often
PROCESSES = st.integers(0, 1)
LIMIT = 6
EXAMPLES = int(os.environ.get("PRM_STATEFUL_EXAMPLES", "25"))
EMPTY = "DELETE FROM events; DELETE FROM outcomes; DELETE FROM snapshots"


async def count_up(store: Store, ctx: Context, step: int, counter_ids: list[UUID]) -> Saved:
    counters = [await store.load_or_new(Counter, counter_id) for counter_id in counter_ids]
    for counter in counters:
        counter.count(step, LIMIT)
    return await store.save(ctx, *counters)


class StoreMachine(RuleBasedStateMachine):
    """Every run has the same two stores, as two processes have them, and worker's connection; the
    tables are empty at its start.
    """

    loop: ClassVar[asyncio.AbstractEventLoop]
    stores: ClassVar[tuple[PostgresEventStore, PostgresEventStore]]
    connection: ClassVar[Connection]

    def __init__(self) -> None:
        super().__init__()
        for store in self.stores:  # snapshots of the run before
            self.run(asyncio.wait_for(settled(store), 10))
        self.run(self.connection.execute(EMPTY))
        self.run(self.connection.commit())
        self.facts: list[tuple[UUID, int]] = []  # (aggregate id, version), as appended
        self.steps: dict[UUID, int] = {}
        self.answers: dict[UUID, tuple[str, tuple[tuple[UUID, int], ...]]] = {}

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        return self.loop.run_until_complete(work)

    def stored(self) -> list[tuple[int, UUID, int]]:
        return self.run(self._stored())

    async def _stored(self) -> list[tuple[int, UUID, int]]:
        found = await self.stores[0].reads.fetch(
            "SELECT position, aggregate_id, version FROM events ORDER BY position", ()
        )
        return [(position, counter_id, version) for position, counter_id, version in found]

    def version(self, counter_id: UUID) -> int:
        return sum(1 for known, _ in self.facts if known == counter_id)

    def record(self, counter_ids: list[UUID], step: int) -> tuple[tuple[UUID, int], ...]:
        for counter_id in counter_ids if step else ():
            self.facts.append((counter_id, self.version(counter_id) + 1))
            self.steps[counter_id] = self.steps.get(counter_id, 0) + step
        return tuple((counter_id, self.version(counter_id)) for counter_id in counter_ids)

    @rule(
        by=PROCESSES,
        key=KEYS,
        ids=IDS,
        step=st.integers(0, 2),
        body=st.sampled_from(["", "", "", "other"]),
        is_unanswered=st.booleans(),
    )
    def execute(
        self, *, by: int, key: UUID, ids: list[UUID], step: int, body: str, is_unanswered: bool
    ) -> None:
        """`is_unanswered`: the connection breaks after the commit, before its answer."""
        if is_unanswered:
            self.run(lose_next_answer(self.stores[by]))
        ctx = a_command(id=key, request_hash=body)
        is_full = any(self.steps.get(counter_id, 0) + step > LIMIT for counter_id in ids)
        if known := self.answers.get(key):
            first_body, versions = known
            if body != first_body:
                with pytest.raises(IdempotencyKeyReused):
                    self.run(self.stores[by].execute(count_up, ctx, step, ids))
                return
            saved = self.run(self.stores[by].execute(count_up, ctx, step, ids))
            assert saved == Saved(versions, is_repeat=True)
        elif is_full:
            with pytest.raises(CounterFull):
                self.run(self.stores[by].execute(count_up, ctx, step, ids))
        else:
            saved = self.run(self.stores[by].execute(count_up, ctx, step, ids))
            assert saved == Saved(self.record(ids, step))
            self.answers[key] = (body, saved.versions)

    @rule(key=KEYS, ids=IDS)
    def ask_both(self, key: UUID, ids: list[UUID]) -> None:
        """One command, asked of two processes at once: one does it, both tell of it."""
        if key in self.answers or any(self.steps.get(it, 0) + 1 > LIMIT for it in ids):
            return

        async def both() -> list[Saved]:
            ctx = a_command(id=key)
            asked = (store.execute(count_up, ctx, 1, ids) for store in self.stores)
            return await asyncio.gather(*asked)

        saved = self.run(both())
        assert sorted(each.is_repeat for each in saved) == [False, True]
        versions = self.record(ids, 1)
        assert {each.versions for each in saved} == {versions}
        self.answers[key] = ("", versions)

    @rule(first=IDS, second=IDS, by=PROCESSES)
    def race(self, first: list[UUID], second: list[UUID], by: int) -> None:
        """Both run at once, of one process or of two; each counts all that it names."""
        if any(self.steps.get(counter_id, 0) + 2 > LIMIT for counter_id in {*first, *second}):
            return
        contexts = [a_command(), a_command()]

        async def both() -> list[Saved]:
            return await asyncio.gather(
                *(
                    store.execute(count_up, ctx, 1, ids)
                    for store, ctx, ids in zip(
                        (self.stores[0], self.stores[by]), contexts, (first, second), strict=True
                    )
                )
            )

        self.run(both())
        added = [(counter_id, version) for _, counter_id, version in self.stored()]
        added = added[len(self.facts) :]
        assert sorted(counter_id for counter_id, _ in added) == sorted(first + second)
        self.facts += added
        for counter_id in first + second:
            self.steps[counter_id] = self.steps.get(counter_id, 0) + 1

    @rule(ids=IDS, is_overtaken=st.booleans())
    def worker_window(self, ids: list[UUID], is_overtaken: bool) -> None:
        """A window in a transaction, which an API command may overtake before it appends."""
        if any(self.steps.get(counter_id, 0) + 2 > LIMIT for counter_id in ids):
            return
        self.run(self._worker_window(ids, is_overtaken))

    async def _worker_window(self, ids: list[UUID], is_overtaken: bool) -> None:
        window = Window.on(self.connection)
        await count_up(window, a_command(), 1, ids)
        if is_overtaken:
            await self.stores[0].execute(count_up, a_command(), 1, ids[:1])
            self.record(ids[:1], 1)
            with pytest.raises(Clash):
                await window.append_and_commit(NOW)
            await self.connection.rollback()
        else:
            await window.append_and_commit(NOW)
            self.record(ids, 1)

    @invariant()
    def the_store_is_the_model(self) -> None:
        stored = self.stored()
        assert [position for position, _, _ in stored] == list(range(1, len(stored) + 1))
        assert [(counter_id, version) for _, counter_id, version in stored] == self.facts

    def teardown(self) -> None:
        for counter_id, total in self.steps.items():
            counter = self.run(Window(self.stores[0].reads).load(Counter, counter_id))
            assert counter.total == total


async def settled(store: PostgresEventStore) -> None:
    await asyncio.gather(*store._background)


async def lose_next_answer(store: PostgresEventStore) -> None:
    calls = await store._writer._connected()
    call = calls.call

    def unanswered(asked: Sequence[Asked], answered: Answered) -> None:
        calls.call = call  # type: ignore[method-assign]
        call(asked, lambda _: answered(LOST))

    calls.call = unanswered  # type: ignore[method-assign]


async def connect_machine(dsn: str) -> None:
    StoreMachine.stores = (
        PostgresEventStore(dsn, lambda: NOW, connections=2),
        PostgresEventStore(dsn, lambda: NOW, connections=2),
    )
    for store in StoreMachine.stores:
        await store.open()
    StoreMachine.connection = await Connection.connect(dsn)


async def disconnect_machine() -> None:
    for store in StoreMachine.stores:
        await store.close()
    await StoreMachine.connection.close()


def test_the_store_behaves_like_its_model(
    fresh_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Snapshots are taken early, so that most loads begin with one."""
    monkeypatch.setattr("chassis.storage.window.SNAPSHOT_AFTER", 3)
    migrate(fresh_database)
    StoreMachine.loop = asyncio.new_event_loop()
    StoreMachine.loop.run_until_complete(connect_machine(fresh_database))
    few = settings(
        max_examples=EXAMPLES, stateful_step_count=20, suppress_health_check=list(HealthCheck)
    )

    run_state_machine_as_test(StoreMachine, settings=few)

    StoreMachine.loop.run_until_complete(disconnect_machine())
    StoreMachine.loop.close()
