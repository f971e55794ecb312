"""The delivery against a small model: lines of facts, and what of them each has taken."""

import asyncio
import os
from collections import defaultdict
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from chassis.consuming import tracking
from chassis.consuming.committer import Committer
from chassis.consuming.dead_letters import DeadLetters
from chassis.consuming.intake import House
from chassis.consuming.parking import Timing
from chassis.consuming.reading import Reader
from chassis.consuming.records import Record, headers_of, plain_headers
from chassis.consuming.subscribers import consumed, service_actor, subscribers_of
from chassis.consuming.tracking import Place
from chassis.storage.migrate import migrate
from chassis.storage.postgres import PooledReads
from chassis.testing import NOW
from prm_contracts.facts import Basis, Topic

from .reactions import FAILING, MODELS, Ordered, OrderNamed, Sample, Stranger

R = TypeVar("R")

EXAMPLES = int(os.environ.get("PRM_STATEFUL_EXAMPLES", "20"))
TRIES = 2  # in vain, until a fact is dead
ORDERS = [UUID(int=number) for number in range(1, 3)]
NAME = UUID(int=9)
POLICIES, JOURNAL, NAMES = "policies", "journal", "names"
EMPTY = """
DELETE FROM events; DELETE FROM outcomes; DELETE FROM tracking; DELETE FROM sequences;
DELETE FROM parking; DELETE FROM underway; DELETE FROM journal"""
OPEN = """
SELECT subscriber, aggregate_id, version, state, attempts, id FROM parking
WHERE state IN ('waiting', 'dead') ORDER BY subscriber, aggregate_id, version, id"""


class Small(Sample):
    """Orders are tallied and journalled; they may rest on names, which are journalled too."""

    def __init__(self) -> None:
        super().__init__("machine")
        self.deadlines = self.outbound = ()


class Author(Stranger):
    """Another service whose records go no further than the machine's log."""

    def __init__(self) -> None:
        self._position = 0
        self._chains = {}


class Log(Reader):
    """The partitions as lists; also what fills holes reads them."""

    def __init__(self) -> None:
        super().__init__("nowhere")
        self.records: dict[Place, list[Record]] = defaultdict(list)

    async def read(
        self, place: Place, start: int, stop: int, most: int
    ) -> tuple[list[Record], int]:
        found = self.records[place][start:stop][:most]
        return found, start + len(found)


@dataclass
class Told:
    """A fact as the model knows it. `basis`: the version of the name that it rests on."""

    order: UUID
    version: int
    note: str
    basis: int = 0


@dataclass
class Waiting:
    fact: Told
    kind: str
    attempts: int = 0

    @property
    def state(self) -> str:
        return "dead" if self.kind == "final" or self.attempts > TRIES else "waiting"


@dataclass
class Line:
    """One subscriber's way through one order."""

    taken: list[str] = field(default_factory=list)
    seen: int = 0
    waiting: list[Waiting] = field(default_factory=list)

    def wait(self, waiting: Waiting) -> None:
        self.waiting.append(waiting)
        self.waiting.sort(key=lambda each: each.fact.version)


class DeliveryMachine(RuleBasedStateMachine):
    """Every run has the same database, empty at its start."""

    loop: ClassVar[asyncio.AbstractEventLoop]
    dsn: ClassVar[str]
    owner: ClassVar[psycopg.Connection[Any]]
    reads: ClassVar[PooledReads]
    sample: ClassVar[Small]
    committer: ClassVar[Committer]
    log: ClassVar[Log]

    def __init__(self) -> None:
        super().__init__()
        self.owner.execute(EMPTY)
        FAILING.clear()
        FAILING.add("bad")
        self.log.records.clear()
        self.author, self.naming = Author(), Author()
        self.facts: dict[tuple[Place, int], Told | None] = {}  # None: nobody can read it
        self.handed: dict[Place, int] = defaultdict(int)
        self.lines: dict[tuple[str, UUID], Line] = defaultdict(Line)
        self.names_written = self.names_seen = 0
        self.unreadable: set[tuple[Place, int]] = set()

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        return self.loop.run_until_complete(asyncio.wait_for(work, 60))

    # What comes to lie on the topics

    def write(self, place: Place, told: Told | None, record: Sequence[Any]) -> None:
        at = len(self.log.records[place])
        self.log.records[place].append(Record(*place, at, *record))
        self.facts[place, at] = told

    @rule(
        order=st.sampled_from(ORDERS),
        note=st.sampled_from(["fine", "good", "bad"]),
        skip=st.sampled_from([0, 0, 0, 0, 1]),
        ahead=st.sampled_from([None, None, 0, 1]),
    )
    def an_order_is_written(self, order: UUID, note: str, skip: int, ahead: int | None) -> None:
        """`skip`: a version that never comes; `ahead`: it rests on a name that comes later."""
        basis = 0 if ahead is None else self.names_written + ahead
        named: dict[str, Any] = {
            "topic": self.sample.names.name,
            "aggregate_id": NAME,
            "version": basis,
        }
        fact = Ordered(note=note, based_on=(Basis(**named),) if basis else ())
        row = self.author.row(order, fact, skip=skip)
        place = Place(self.sample.orders.name, order.int % self.sample.orders.partitions)
        headers = plain_headers(headers_of(row, self.sample.orders.owner))
        told = Told(order, row.version, note, basis)
        self.write(place, told, (str(order).encode(), row.data, headers))

    @rule()
    def a_name_is_written(self) -> None:
        self.names_written += 1
        row = self.naming.row(NAME, OrderNamed(name=f"{self.names_written}"))
        headers = plain_headers(headers_of(row, self.sample.names.owner))
        told = Told(NAME, row.version, f"name {self.names_written}")
        place = Place(self.sample.names.name, 0)
        self.write(place, told, (str(NAME).encode(), row.data, headers))

    @rule(partition=st.integers(0, 1))
    def poison_is_written(self, partition: int) -> None:
        place = Place(self.sample.orders.name, partition)
        self.write(place, None, (b"no key", b"no fact", ()))

    # What the group hands over

    @rule(choice=st.randoms(use_true_random=False))
    def records_come(self, choice: Any) -> None:
        """Of some partitions the next ones; or some of them again; or later ones first."""
        records: list[Record] = []
        for place in sorted(self.log.records):
            all_of_them = self.log.records[place]
            start = max(0, self.handed[place] + choice.choice((0, 0, 0, -2, 1)))
            records += all_of_them[start : start + choice.randint(0, 3)]
        self.expect(records)
        self.run(self.committer.settle(records))

    @rule(partition=st.integers(0, 1))
    def a_partition_is_read_from_its_beginning(self, partition: int) -> None:
        place = Place(self.sample.orders.name, partition)
        self.run(self._reset(place))
        self.handed[place] = 0
        records = list(self.log.records[place])
        self.expect(records)
        self.run(self.committer.settle(records))

    async def _reset(self, place: Place) -> None:
        async with await psycopg.AsyncConnection.connect(self.dsn) as connection:
            await tracking.reset(connection, *place)

    def expect(self, records: Sequence[Record]) -> None:
        """A hole is filled before what lies behind it."""
        for record in self._filled(records):
            place = Place(record.topic, record.partition)
            for at in range(self.handed[place], record.offset + 1):
                self.offered(place, at)
            self.handed[place] = max(self.handed[place], record.offset + 1)

    def _filled(self, records: Sequence[Record]) -> list[Record]:
        """All of a window is rolled back at a hole, and comes again once it is filled."""
        reached = dict(self.handed)
        for record in records:
            place = Place(record.topic, record.partition)
            if record.offset > reached.get(place, 0):
                filling = self.log.records[place][reached.get(place, 0) : record.offset]
                return [*filling, *self._filled_behind(records, place, record.offset)]
            reached[place] = max(reached.get(place, 0), record.offset + 1)
        return list(records)

    def _filled_behind(
        self, records: Sequence[Record], place: Place, filled_to: int
    ) -> list[Record]:
        """The other partitions of the window may have holes as well."""
        before, self.handed[place] = self.handed[place], filled_to
        found = self._filled(records)
        self.handed[place] = before
        return found

    def offered(self, place: Place, at: int) -> None:
        told = self.facts[place, at]
        if told is None:
            self.unreadable.add((place, at))
        elif told.order == NAME:
            self.names_seen = max(self.names_seen, told.version)
        else:
            for subscriber in (JOURNAL, POLICIES):
                line = self.lines[subscriber, told.order]
                if line.waiting:
                    if told.version > line.seen:
                        line.wait(Waiting(told, "behind"))
                elif kind := self.taken(subscriber, line, told):
                    line.wait(Waiting(told, kind, int(kind in ("failed", "final"))))

    def taken(self, subscriber: str, line: Line, told: Told) -> str | None:
        """None: it is taken, or was before. Otherwise why it waits."""
        if told.version <= line.seen:
            return None
        if told.version > line.seen + 1:
            return "final"
        if subscriber == POLICIES and told.basis > self.names_seen:
            return "held"
        if subscriber == POLICIES and told.note in FAILING:
            return "failed"
        line.seen = told.version
        line.taken.append(told.note)
        return None

    # What becomes of facts that wait

    @rule(is_broken=st.booleans())
    def the_policy_fails_or_is_mended(self, is_broken: bool) -> None:
        FAILING.clear()
        FAILING.update(["bad"] if is_broken else [])

    @rule()
    def what_waits_is_tried_again(self) -> None:
        for (subscriber, _), line in self.lines.items():
            self.expect_retry(subscriber, line)
        self.run(self.committer.retry_parked())

    def expect_retry(self, subscriber: str, line: Line) -> None:
        if not line.waiting or line.waiting[0].state == "dead":
            return
        head = line.waiting[0]
        if head.kind == "held" and head.fact.basis > self.names_seen:
            return
        while line.waiting:
            kind = self.taken(subscriber, line, line.waiting[0].fact)
            if kind is not None:
                waiting = line.waiting[0]
                waiting.kind = kind
                waiting.attempts += kind in ("failed", "final")
                return
            del line.waiting[0]

    def heads(self) -> list[tuple[int, Line]]:
        found: dict[tuple[str, UUID], int] = {}
        for subscriber, order, _, _, _, number in self.owner.execute(OPEN).fetchall():
            if order is not None:
                found.setdefault((subscriber, order), number)
        return [(number, self.lines[turn]) for turn, number in found.items()]

    @rule(choice=st.randoms(use_true_random=False), is_discarded=st.booleans())
    def an_operator_looks_after_one(self, choice: Any, is_discarded: bool) -> None:
        heads = self.heads()
        if not heads:
            return
        number, line = choice.choice(heads)
        letters = DeadLetters(self.reads)
        if is_discarded:
            self.run(letters.discard(number))
            line.seen = max(line.seen, line.waiting.pop(0).fact.version)
        else:
            self.run(letters.redrive(number))
            line.waiting[0] = Waiting(line.waiting[0].fact, "redriven")

    # What must hold

    @invariant()
    def effects_are_those_of_the_model(self) -> None:
        journal: dict[UUID, list[str]] = defaultdict(list)
        for order, note in self.owner.execute(
            "SELECT counter_id, note FROM journal ORDER BY place"
        ):
            journal[order].append(note)
        tallied: dict[UUID, list[str]] = defaultdict(list)
        facts = "SELECT convert_from(data, 'UTF8')::jsonb FROM events ORDER BY position"
        for (fact,) in self.owner.execute(facts):
            tallied[UUID(fact["order_id"])].append(fact["note"])
        for order in ORDERS:
            assert journal[order] == self.lines[JOURNAL, order].taken
            assert tallied[order] == self.lines[POLICIES, order].taken
        assert journal[NAME] == [f"name {number + 1}" for number in range(self.names_seen)]

    @invariant()
    def what_waits_is_what_the_model_says(self) -> None:
        found: dict[tuple[str, UUID], list[tuple[int, str, int]]] = defaultdict(list)
        unreadable = 0
        for subscriber, order, version, state, attempts, _ in self.owner.execute(OPEN).fetchall():
            if order is None:
                unreadable += 1
            else:
                found[subscriber, order].append((version, state, attempts))
        told = {
            turn: [(each.fact.version, each.state, each.attempts) for each in line.waiting]
            for turn, line in self.lines.items()
            if line.waiting
        }
        assert found == told
        assert unreadable == len(self.unreadable)

    @invariant()
    def tracking_is_where_the_log_was_handed_over(self) -> None:
        rows = self.owner.execute('SELECT topic, partition, "offset" FROM tracking').fetchall()
        for topic, partition, offset in rows:
            assert offset == self.handed[Place(topic, partition)] - 1


async def begin(dsn: str) -> None:
    machine = DeliveryMachine
    house = House(
        service_actor(machine.sample.name),
        lambda: NOW,
        subscribers_of(machine.sample),
        timing=Timing((0.0,) * TRIES),
    )
    machine.log, machine.dsn = Log(), dsn
    machine.committer = Committer(house, dsn, machine.log, consumed(machine.sample))
    machine.reads = PooledReads(dsn, connections=1)
    await machine.reads.open()


async def end() -> None:
    await DeliveryMachine.committer.sessions.close()
    await DeliveryMachine.reads.close()


def test_the_delivery_behaves_like_its_model(
    fresh_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Topic, "carrying", {})
    migrate(fresh_database)
    machine = DeliveryMachine
    machine.sample, machine.loop = Small(), asyncio.new_event_loop()
    machine.loop.run_until_complete(begin(fresh_database))
    few = settings(
        max_examples=EXAMPLES, stateful_step_count=25, suppress_health_check=list(HealthCheck)
    )

    with psycopg.connect(fresh_database, autocommit=True) as machine.owner:
        machine.owner.execute(MODELS)
        run_state_machine_as_test(machine, settings=few)

    machine.loop.run_until_complete(end())
    machine.loop.close()
