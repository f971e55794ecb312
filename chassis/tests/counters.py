"""A counter: the aggregate that the tests of the event store record."""

from typing import assert_never
from uuid import UUID

from chassis.aggregates import Aggregate
from chassis.context import Context
from chassis.errors import Conflict
from chassis.store import Saved, Store
from prm_contracts.facts import Fact, Topic


class CounterOpened(Fact, type="prm.counter.CounterOpened.v1"):
    tenant_id: UUID | None = None
    note: str = ""


class Counted(Fact, type="prm.counter.Counted.v1"):
    step: int = 1
    note: str = ""


CounterFact = CounterOpened | Counted
COUNTERS = Topic[CounterFact]("prm.counters", (CounterOpened, Counted), owner="sample")


class CounterFull(Conflict):
    """A counter ends at its limit: open another one."""


class Counter(Aggregate[CounterFact]):
    total: int = 0
    steps: tuple[int, ...] = ()

    def open(self, tenant_id: UUID | None = None, note: str = "") -> None:
        if not self.version:
            self.record(CounterOpened(tenant_id=tenant_id, note=note))

    def count(self, step: int = 1, limit: int | None = None, note: str = "") -> None:
        """A step of 0 changes nothing and records nothing."""
        if limit is not None and self.total + step > limit:
            raise CounterFull
        if step:
            self.record(Counted(step=step, note=note))

    def apply(self, fact: CounterFact) -> None:
        match fact:
            case CounterOpened():
                self.tenant_id = fact.tenant_id
            case Counted():
                self.total += fact.step
                self.steps = (*self.steps, fact.step)[-3:]
            case _:
                assert_never(fact)


async def open_counter(
    store: Store, ctx: Context, tenant_id: UUID | None = None, note: str = ""
) -> Saved:
    counter = Counter(ctx.new_id("counter"))
    counter.open(tenant_id, note)
    return await store.save(ctx, counter)


async def count(
    store: Store, ctx: Context, counter_id: UUID, step: int = 1, limit: int | None = None
) -> Saved:
    counter = await store.load_addressed(ctx, Counter, counter_id)
    counter.count(step, limit)
    return await store.save(ctx, counter)


async def count_all(store: Store, ctx: Context, *counter_ids: UUID) -> Saved:
    """Loads them in the order given."""
    counters = [await store.load_or_new(Counter, counter_id) for counter_id in counter_ids]
    for counter in counters:
        counter.count()
    return await store.save(ctx, *counters)
