"""A service of parcels in three releases, each a process of its own: readers go first.

Release 1 knows the fact's v1 only. Release 2 reads v2 as well, and writes v1. Release 3 writes v2.
`python -m tests.releases RELEASE ROLE RUN DSN BOOTSTRAP` takes `<parcel id> <grams>` a line and
answers the parcel's version, or the refusal that the command met. ROLE `api`: no worker.
"""

import asyncio
import sys
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import UUID, uuid4, uuid5

from chassis.aggregates import Aggregate
from chassis.clock import RealClock
from chassis.consuming.worker import Worker
from chassis.context import Actor, Context
from chassis.delivery import project, whenever
from chassis.errors import Refusal
from chassis.publishing.relay import Relay
from chassis.sql import Statement
from chassis.storage.event_store import PostgresEventStore
from chassis.store import Recorded, Saved, Store
from prm_contracts.facts import Fact, Topic, upcast

V1, V2 = "prm.parcel.ParcelWeighed.v1", "prm.parcel.ParcelWeighed.v2"
UNKNOWN_SCALE = "?"


class ParcelTallied(Fact, type="prm.parcel-tally.ParcelTallied.v1"):
    grams: int


def parcel_of(release: int) -> tuple[type[Any], type[Aggregate[Any]]]:
    """The fact that this release records, and reads every version that it knows as; its parcel."""
    weighed = weighed_in_v2() if release == 3 else weighed_in_v1()
    if release == 2:
        upcast(V2, weighed, lambda newer: {"grams": newer["grams"]})

    class Parcel(Aggregate[weighed]):  # type: ignore[valid-type]
        grams = 0

        def apply(self, fact: Any) -> None:
            self.grams = fact.grams

    return weighed, Parcel


@cache
def weighed_in_v1() -> type[Any]:
    class ParcelWeighed(Fact, type=V1):
        grams: int

    return ParcelWeighed


def weighed_in_v2() -> type[Any]:
    class ParcelWeighed(Fact, type=V2):
        """`scale`: which one weighed it; nobody asked before v2."""

        grams: int
        scale: str = "A"

    upcast(V1, ParcelWeighed, lambda older: older | {"scale": UNKNOWN_SCALE})
    return ParcelWeighed


class Parcels:
    """What the chassis knows of the service."""

    deadlines = outbound = ()

    def __init__(self, run: str, weighed: type[Any]) -> None:
        self.name = f"parcels-{run}"
        self.parcels = Topic[Any](f"prm.parcels-{run}", (weighed,), self.name, 1)
        tallies = Topic[Any](f"prm.parcel-tallies-{run}", (ParcelTallied,), self.name, 1)
        self.topics = (self.parcels, tallies)
        self.policies = (whenever(weighed, tally, key="tally"),)
        self.projections = (project(self.parcels, journal),)


class Tally(Aggregate[ParcelTallied]):
    def apply(self, fact: ParcelTallied) -> None:
        """Nothing is decided on it."""


async def tally(store: Store, ctx: Context, weighed: Recorded[Any]) -> None:
    tally = await store.load_or_new(Tally, uuid5(weighed.aggregate_id, "tally"))
    tally.record(ParcelTallied(grams=weighed.fact.grams))
    await store.save(ctx, tally)


def journal(recorded: Recorded[Any]) -> Statement:
    note = f"{recorded.fact.grams} {getattr(recorded.fact, 'scale', '-')}"
    return Statement(
        "INSERT INTO journal (counter_id, note) VALUES (%(id)s, %(note)s)",
        {"id": recorded.aggregate_id, "note": note},
    )


class Release:
    def __init__(self, number: int, role: str, run: str, dsn: str, bootstrap: str) -> None:
        self._role = role
        self._weighed, self._parcel = parcel_of(number)
        service = Parcels(run, self._weighed)
        self._store = PostgresEventStore(dsn, lambda: datetime.now(UTC), connections=1)
        self._relay = Relay(service.name, dsn, bootstrap, service.topics)
        self._worker = Worker(
            service, dsn=dsn, bootstrap=bootstrap, clock=RealClock(), instance=str(number)
        )

    async def run(self) -> None:
        await self._store.open()
        parts = [self._relay.run()] + [self._worker.run()] * (self._role == "all")
        work = asyncio.gather(*parts)
        while line := await asyncio.to_thread(sys.stdin.readline):
            parcel, grams = line.split()
            sys.stdout.write(await self._told(UUID(parcel), int(grams)) + "\n")
            sys.stdout.flush()
        self._relay.stop()
        await self._worker.stop()
        await work
        await self._store.close()

    async def _told(self, parcel: UUID, grams: int) -> str:
        now = datetime.now(UTC)
        ctx = Context(Actor(UUID(int=7)), now, command_id=uuid4(), correlation_id=uuid4())
        try:
            saved = await self._store.execute(self._weigh, ctx, parcel, grams)
        except Refusal as refusal:
            return type(refusal).__name__
        return str(saved.versions[0][1])

    async def _weigh(self, store: Store, ctx: Context, parcel_id: UUID, grams: int) -> Saved:
        parcel = await store.load_or_new(self._parcel, parcel_id)
        parcel.record(self._weighed(grams=grams))
        return await store.save(ctx, parcel)


if __name__ == "__main__":
    asyncio.run(Release(int(sys.argv[1]), *sys.argv[2:]).run())
