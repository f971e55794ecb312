"""The services as processes of one run, and the places where the chassis' ports are replaced.

Everything above a connection is the product's own: event store and writer, relay, worker with its
committer, windows, intake, parking and deadlines, errands, and the services' commands, policies
and projections.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch
from uuid import UUID

import psycopg

import chassis.consuming.outbound
import chassis.consuming.reading
import chassis.consuming.sessions
import chassis.consuming.worker
import chassis.publishing.ends
import chassis.publishing.relay
import chassis.storage.lines
import chassis.storage.postgres
import chassis.storage.window
import chassis.storage.writer
import deal_svc.main
import notify_svc.main
import partner_svc.main
import territory_svc.main
from chassis.consuming.outbound import Outbound
from chassis.consuming.records import Record
from chassis.consuming.subscribers import consumed
from chassis.consuming.worker import Worker
from chassis.delivery import Errand, Outside, TryLater
from chassis.publishing.relay import Relay
from chassis.publishing.topics import dead_letters_of
from chassis.running.service import Service
from chassis.storage import new_facts
from chassis.storage.calls import Answered
from chassis.storage.event_store import PostgresEventStore
from chassis.storage.new_facts import EPOCH_UNIX
from chassis.telemetry.sight import Sight
from notify_svc.worker import outgoing
from prm_contracts.catalogue import TOPICS
from prm_contracts.notifications import MailFact, NotificationSent

from .broker import Broker, Consumer, Group, Producer
from .database import Connection, Database, Sent, lost
from .scheduler import Fate, Plan, Process, Scheduler

BEGIN = datetime(2027, 3, 1, 9, tzinfo=UTC)
SIGHT = Sight()
# The read models that decisions rest on; a policy that reads another one finds no such table.
DECIDES_BY = {
    "deal-svc": {"partners", "approval_limits", "alignments", "product_list", "deal_list"},
    "territory-svc": {"partners", "alignment_list", "open_deals"},
    "notify-svc": {"contacts", "partners", "deals"},
    "partner-svc": set[str](),
}
WORKERS = {"deal-svc": 2, "territory-svc": 2, "notify-svc": 2, "partner-svc": 1}
SKEW = 3.0  # seconds, between the clocks of two processes


def _as_simulated(service: Service) -> Service:
    kept = DECIDES_BY[service.name]
    projections = tuple(each for each in service.projections if each.name in kept)
    deadlines = service.deadlines if service.policies else ()
    return replace(service, projections=projections, deadlines=deadlines)


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
        if service.policies:
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
        return self._is_done() and self._has_settled()

    def _has_settled(self) -> bool:
        """Everything is published, taken, retried, fired and sent."""
        return not self.unsettled()

    def unsettled(self) -> list[str]:
        found = []
        for name, database in self.durable.databases.items():
            published = database.tables["relay"].get(True, {"position": 0})["position"]
            if published != len(database.events):
                found.append(f"{name} has published {published} of {len(database.events)}")
            if not SERVICES[name].policies:
                continue
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


def _dsn(service: str) -> str:
    return f"dbname={service}"


@contextmanager
def ports_of(platform: Platform) -> Iterator[None]:
    """The ports of the chassis, all of them, answered by this run."""
    scheduler, durable = platform.scheduler, platform.durable

    def open_connection(dsn: str, *, autocommit: bool = True) -> Connection:
        database = durable.databases[dsn.removeprefix("dbname=").partition(" ")[0]]
        return Connection(scheduler, database, autocommit=autocommit, log=platform.log)

    async def connected(
        dsn: str, settings: object = None, *, autocommit: bool = True
    ) -> Connection:
        if await scheduler.point("connect to the database") is not Fate.PASS:
            raise lost()
        return open_connection(dsn, autocommit=autocommit)

    class Pool:
        def __class_getitem__(cls, _: Any) -> type["Pool"]:
            return cls

        def __init__(self, dsn: str, **_: Any) -> None:
            self._dsn = dsn

        async def close(self) -> None:
            """Nothing is kept open."""

        open = check = close

        def connection(self) -> Connection:
            return open_connection(self._dsn)

    class Calls:
        """The writer's connection: calls are answered in the order asked."""

        def __init__(self, dsn: str) -> None:
            self._database = durable.databases[dsn]
            self._connection = open_connection(dsn)
            self._order = asyncio.Lock()

        @classmethod
        async def connect(cls, dsn: str, statement: bytes, types: Any) -> "Calls":
            if await scheduler.point("connect to the database") is not Fate.PASS:
                raise lost()
            return cls(dsn)

        def call(self, values: Sequence[bytes], answered: Answered) -> None:
            _ = asyncio.get_running_loop().create_task(self._answer(values, answered))

        async def _answer(self, values: Sequence[bytes], answered: Answered) -> None:
            try:
                async with self._order:
                    found = await self._connection.run(new_facts.APPEND, values)
            except psycopg.Error as fault:
                answered(fault)
                return
            [row] = cast(list[dict[str, Any]], found)
            ids = [_array(row[name]) for name in ("repeated", "clashed", "moved")]
            answered((str(row["head"] or "").encode(), *ids))

        async def close(self) -> None:
            self._connection.lose()

    class Line:
        """A connection of those who decide, to read."""

        def __init__(self, dsn: str) -> None:
            self._connection = open_connection(dsn)

        @classmethod
        async def connect(cls, dsn: str) -> "Line":
            if await scheduler.point("connect to the database") is not Fate.PASS:
                raise lost()
            return cls(dsn)

        def is_prompt(self, now: float) -> bool:
            return True

        async def ask(self, query: str, values: Any) -> tuple[list[str], list[tuple[Any, ...]]]:
            rows = cast(list[dict[str, Any]], await self._connection.run(query, values))
            return list(rows[0]) if rows else [], [tuple(row.values()) for row in rows]

        async def close(self) -> None:
            self._connection.lose()

    def producer(**_: Any) -> Producer:
        return Producer(scheduler, durable.broker)

    def consumer(**_: Any) -> Consumer:
        return Consumer(scheduler, durable.broker)

    connections = SimpleNamespace(connect=connected)
    consuming = SimpleNamespace(assigned=lambda member: set(member.at))
    with ExitStack() as replaced:
        for target, name, port in (
            (chassis.storage.postgres, "guarded", lambda dsn: dsn),
            (chassis.storage.postgres, "AsyncConnectionPool", Pool),
            (chassis.consuming.sessions, "connected", connected),
            (chassis.storage.writer, "connected", connected),
            (chassis.storage.writer, "Calls", Calls),
            (chassis.storage.lines, "Line", Line),
            (chassis.publishing.relay, "Connection", connections),
            (chassis.publishing.producing, "AIOKafkaProducer", producer),
            (chassis.publishing.ends, "AIOKafkaConsumer", consumer),
            (chassis.consuming.worker, "faust_app", consuming),
            (chassis.consuming.reading, "AIOKafkaConsumer", consumer),
            (chassis.storage.window, "new_event_id", platform.new_event_id),
            # How often somebody looks without being woken costs time, and shows nothing.
            (chassis.publishing.relay, "POLL", 0.5),
            (chassis.publishing.relay, "POLL_WOKEN", 0.5),
            (chassis.publishing.relay, "STANDBY_POLL", 2.0),
            (chassis.consuming.worker, "RETRY_EVERY", 1.0),
            (chassis.consuming.worker, "WATCH_EVERY", 5.0),
        ):
            replaced.enter_context(patch.object(target, name, port))
        yield


def _array(ids: list[UUID]) -> bytes:
    return ("{" + ",".join(map(str, ids)) + "}").encode()
