"""The services as processes of one run: what lives in each, how it begins, and when all rest.

Everything above a connection is the product's own: event store and writer, relay, worker with its
committer, windows, intake, parking and deadlines, errands, and the services' commands, policies
and projections.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import deal_svc.main
import notify_svc.main
import partner_svc.main
import territory_svc.main
from chassis.consuming.dead_letters import REDRIVE
from chassis.consuming.outbound import Outbound
from chassis.consuming.records import Record
from chassis.consuming.subscribers import consumed
from chassis.consuming.worker import Worker
from chassis.delivery import Errand, Outside, TryLater
from chassis.publishing.relay import Relay
from chassis.publishing.topics import dead_letters_of
from chassis.running.service import Service
from chassis.storage.event_store import PostgresEventStore
from chassis.storage.new_facts import EPOCH_UNIX
from chassis.telemetry.sight import Sight
from notify_svc.worker import outgoing
from prm_contracts.catalogue import TOPICS
from prm_contracts.notifications import MailFact, NotificationSent

from .broker import Broker, Group
from .connections import Connection, Sent
from .database import Database
from .scheduler import Fate, Plan, Process, Scheduler

BEGIN = datetime(2027, 3, 1, 9, tzinfo=UTC)
SIGHT = Sight()
# The read models that decisions rest on; a policy that reads another one finds no such table.
DECIDES_BY = {
    "deal-svc": {"partners", "approval_limits", "alignments", "product_list", "deal_list"},
    "territory-svc": {"partners", "alignment_list", "open_deals"},
    "notify-svc": {"contacts", "partners", "deals"},
    "partner-svc": {"partner_list"},
}
WORKERS = {"deal-svc": 2, "territory-svc": 2, "notify-svc": 2, "partner-svc": 2}
SKEW = 3.0  # seconds, between the clocks of two processes


def _as_simulated(service: Service) -> Service:
    kept = DECIDES_BY[service.name]
    projections = tuple(each for each in service.projections if each.name in kept)
    return replace(service, projections=projections)


SERVICES = {
    module.SERVICE.name: _as_simulated(module.SERVICE)
    for module in (partner_svc.main, deal_svc.main, territory_svc.main, notify_svc.main)
}


@dataclass
class Durable:
    """What outlives every process: the databases, the broker, the clock that people set."""

    databases: dict[str, Database]
    broker: Broker
    ahead: timedelta = timedelta()

    @classmethod
    def empty(cls) -> "Durable":
        partitions = {topic.name: topic.partitions for topic in TOPICS}
        partitions |= {dead_letters_of(name): 1 for name in SERVICES}
        databases = {name: Database(name, lambda: BEGIN) for name in SERVICES}
        return cls(databases, Broker(partitions))

    def copied(self) -> "Durable":
        databases = {name: each.copied(each.now) for name, each in self.databases.items()}
        return Durable(databases, self.broker.copied(), self.ahead)


class SimulatedWorker(Worker):
    """Gets its records from a simulated group instead of Faust."""

    group: Group

    async def _life(self) -> None:
        self._reason = None
        self._app = member = self.group.join()
        try:
            while not self._stopping.is_set():
                windows = await self.group.next(member)
                await asyncio.gather(*(self._take(member, each) for each in windows.values()))
        finally:
            self._app = None
            self.group.leave(member)

    async def _take(self, member: Any, records: Sequence[Record]) -> None:
        await self.committer.commit(records)
        await self.group.acknowledge(member, records)


class Platform:
    """One run. `durable` is changed by it. `log`: all statements, if they are kept."""

    def __init__(
        self, durable: Durable, rng: Random, plan: Plan, is_done: Callable[[], bool]
    ) -> None:
        self.durable, self.rng, self._is_done = durable, rng, is_done
        self.scheduler = Scheduler(rng, plan, self._is_quiet)
        self.log: list[Sent] | None = None
        self.mails: list[UUID] = []
        self.events: dict[str, PostgresEventStore] = {}
        self.groups: dict[str, Group] = {}
        self.processes: list[Process] = []
        self._redriving: set[int] = set()
        for database in durable.databases.values():
            database.now = self._server_now
        for name, service in SERVICES.items():
            topics = sorted(consumed(service))
            group = Group(name, topics, durable.broker, self.scheduler, rng)
            self.groups[name] = group
            self._add(name, "api", self._run_api)
            for number in range(1, WORKERS[name] + 1):
                self._add(name, f"worker {number}", self._run_worker)

    def _add(self, service: str, role: str, run: Any) -> None:
        process = Process(f"{service} {role}")

        async def begin() -> None:
            await run(SERVICES[service], process)

        process.begin = begin
        self.processes.append(process)

    def start(self) -> None:
        for process in self.processes:
            self.scheduler.start(process)

    # Time and ids

    def _server_now(self) -> datetime:
        return BEGIN + timedelta(seconds=self.scheduler.now)

    def now(self) -> datetime:
        """As people's clocks show it."""
        return self._server_now() + self.durable.ahead

    def clock(self) -> Any:
        """Of one process: a little before or behind the others."""
        skew = timedelta(seconds=self.rng.uniform(0, SKEW))
        return SimpleNamespace(now=lambda: self._server_now() + self.durable.ahead + skew)

    def new_event_id(self, now: datetime) -> UUID:
        milliseconds = (now - EPOCH_UNIX) // timedelta(milliseconds=1)
        random = self.rng.getrandbits(62)
        return UUID(int=milliseconds << 80 | 0x7 << 76 | 0b10 << 62 | random)

    # Processes

    async def _run_api(self, service: Service, process: Process) -> None:
        store = PostgresEventStore(service.name, self.clock().now, sight=SIGHT)
        await store.open()
        self.events[process.name] = store

    async def _run_worker(self, service: Service, process: Process) -> None:
        clock = self.clock()
        relay = Relay(service.name, _dsn(service.name), "broker", service.topics, sight=SIGHT)
        rules = outgoing(self._mail) if service.outbound else ()
        service = replace(service, outbound=rules)
        outbound = Outbound(service, service.name, cast(Outside, None), clock.now, process.name)

        def committed() -> None:
            outbound.wake()
            relay.wake()

        worker = SimulatedWorker(
            service,
            dsn=service.name,
            bootstrap="broker",
            clock=clock,
            instance=process.name,
            on_committed=committed,
            time_limit=1e6,
            sight=SIGHT,
        )
        worker.group = self.groups[service.name]
        process.spawn(relay.run())
        process.spawn(worker.run())
        process.spawn(outbound.run())

    async def _mail(self, outside: Outside, errand: Errand) -> MailFact:
        fate = await self.scheduler.point("hand a mail over")
        if fate is Fate.LOST:
            raise TryLater("nobody answers", concerns_all=True)
        self.mails.append(errand.aggregate_id)
        if fate is Fate.UNANSWERED:
            raise TryLater("the connection broke")
        return NotificationSent(message_id=f"<{errand.aggregate_id}@prm.example>", language="en")

    # Its end

    def _is_quiet(self) -> bool:
        """Everything is published, taken, retried, fired and sent, and nobody asks for more."""
        rest = self.unsettled()  # first: dead letters are redriven although somebody waits
        return self._is_done() and not rest

    def unsettled(self) -> list[str]:
        found = []
        for name, database in self.durable.databases.items():
            published = database.tables["relay"].get(True, {"position": 0})["position"]
            if published != len(database.events):
                found.append(f"{name} has published {published} of {len(database.events)}")
            found += self._behind(name, database)
            for row in database.tables["parking"].values():
                if row["state"] in ("waiting", "dead"):
                    found.append(f"{name} has parked {row['type']}: {row['reason']}")
                    self._redrive(name, row)
            if database.tables["errands"]:
                found.append(f"{name} has errands")
            now = self._server_now() + self.durable.ahead
            for row in database.tables["deadlines"].values():
                if row["fired_at"] is None and row["due_at"] <= now:
                    found.append(f"{name}: {row['rule']} is due")
        return found

    def _behind(self, name: str, database: Database) -> Iterator[str]:
        tracked: dict[Any, int] = {}
        for (_, topic, partition), row in database.tables["tracking"].items():
            place = (topic, partition)
            tracked[place] = min(row["offset"], tracked.get(place, row["offset"]))
        for topic in self.groups[name].topics:
            for place in self.durable.broker.places(topic):
                end = len(self.durable.broker.records[place])
                if tracked.get(tuple(place), -1) < end - 1:
                    yield f"{name} is behind on {place}"

    def _redrive(self, name: str, row: dict[str, Any]) -> None:
        """What an operator does about a dead letter, once it is there."""
        if row["state"] == "dead" and row["kind"] != "behind":
            database = self.durable.databases[name]
            changed = {"state": "waiting", "kind": "failed", "attempts": 0}
            database.tables["parking"][row["id"]] = (
                row
                | changed
                | {"next_try_at": database.now(), "held_until": None, "is_published": False}
            )
            if self.log is not None:
                operator = Connection(self.scheduler, database, autocommit=True, log=None)
                asked = (REDRIVE, (row["id"],), 1, database.now())
                self.log.append(Sent(name, operator, *asked))


def _dsn(service: str) -> str:
    return f"dbname={service}"
