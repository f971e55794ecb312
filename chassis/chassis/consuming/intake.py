"""What one transaction does about records: to each subscriber each fact once and in order."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import psycopg

from chassis.consuming import parking, tracking
from chassis.consuming.parking import ALL, Fate, Parking, Timing
from chassis.consuming.records import Envelope, Record
from chassis.consuming.subscribers import Subscriber, Taking
from chassis.consuming.tracking import Place, Seen, Track, Turn
from chassis.context import Actor, Context
from chassis.storage.rounds import Answer, Connection
from chassis.storage.window import AlreadyDone, Clash, ConnectionWindow, Window, known_commands
from chassis.storage.wire import FIRST_CHAIN
from chassis.store import Recorded
from chassis.telemetry import tracing
from chassis.telemetry.at_work import at_work_on
from chassis.telemetry.sight import Sight
from prm_contracts.facts import Basis, UnknownFact

log = logging.getLogger(__name__)

UNSEEN = Seen(0, FIRST_CHAIN)
BEHIND = Fate("behind", "an earlier fact of its aggregate waits")

# What the server says when it, not the fact, is to blame; without a code the connection is lost.
BLAMELESS = ("08", "25P03", "40", "53", "55P03", "57", "58")


def is_passing(fault: BaseException) -> bool:
    """Whether the same transaction may succeed by itself a little later."""
    if isinstance(fault, psycopg.errors.PipelineAborted | psycopg.errors.QueryCanceled):
        return False
    if isinstance(fault, psycopg.OperationalError):
        return fault.sqlstate is None or fault.sqlstate.startswith(BLAMELESS)
    return isinstance(fault, psycopg.InterfaceError)


def failed_by(fault: Exception) -> Fate:
    return Fate("failed", f"{type(fault).__name__}: {fault}"[:500])


@dataclass(frozen=True)
class House:
    """What all transactions of a worker share. `time_limit`: seconds for one fact."""

    actor: Actor
    now: Callable[[], datetime]
    subscribers: tuple[Subscriber, ...]
    timing: Timing
    time_limit: float = 10.0
    skipped: Counter[str] = field(default_factory=Counter)  # of unknown types, by topic
    # Up to these offsets facts may have had their effect before the store was restored.
    reoffered: dict[Place, int] = field(default_factory=dict)
    sight: Sight = field(default_factory=Sight)

    def on(self, topic: str) -> list[Subscriber]:
        return [each for each in self.subscribers if topic in each.topics]

    def may_be_done(self, record: Record) -> bool:
        return record.offset <= self.reoffered.get(Place(record.topic, record.partition), -1)


class Decodable(Protocol):
    """As an Envelope."""

    @property
    def record(self) -> Record: ...
    @property
    def type(self) -> str: ...
    @property
    def recorded(self) -> Recorded[Any]: ...


def handled(
    subscriber: Subscriber, envelope: Decodable, skipped: Counter[str]
) -> Recorded[Any] | Fate | None:
    """None: the subscriber passes it over. `skipped` counts facts of unknown types by topic."""
    try:
        recorded = envelope.recorded
    except UnknownFact:
        if subscriber.handles_another_version_of(envelope.type):
            return Fate("unknown", f"{envelope.type} is newer than this worker")
        skipped[envelope.record.topic] += 1
        return None
    except ValueError as malformed:
        if subscriber.handles_another_version_of(envelope.type):
            return Fate("failed", f"cannot be decoded: {malformed}"[:500])
        return None
    return recorded if type(recorded.fact).fact_type in subscriber.handles else None


class Intake:
    """`is_careful`: a savepoint a fact, so that one that fails parks and the others stay."""

    def __init__(
        self,
        house: House,
        connection: Connection,
        *,
        is_careful: bool,
        done: frozenset[UUID] = frozenset(),
    ) -> None:
        self.window: ConnectionWindow = Window.on(connection)
        self._house, self._connection = house, connection
        self._is_careful, self._done = is_careful, done
        self._now = house.now()
        self._seen: dict[Turn, Seen] = {}
        self._changed: dict[Turn, Seen] = {}
        self._waiting: set[Turn] = set()
        self._parkings: list[Parking] = []
        self._delivered: Counter[tuple[str, str]] = Counter()  # by subscriber and topic

    def ask(self, envelopes: Collection[Envelope]) -> Answer:
        """In the next round: what has been seen of these aggregates, and of what they rest on."""
        ids = {envelope.aggregate_id for envelope in envelopes}
        ids |= {basis.aggregate_id for each in envelopes for basis in each.bases()}
        names = [subscriber.name for subscriber in self._house.subscribers]
        return parking.ask(self._connection, ids, names)

    def know(self, answer: Answer) -> None:
        """What `ask` asked for. To be told before anything is offered."""
        self._seen, self._waiting = parking.known(answer)

    async def look_for_done(self, envelopes: Iterable[Envelope]) -> None:
        """After a restore, before anything is offered: a policy that acted then would decide again,
        on a later state, and might fail at it.
        """
        asked = [
            command_id
            for envelope in envelopes
            if self._house.may_be_done(envelope.record)
            for subscriber in self._house.on(envelope.record.topic)
            for command_id in subscriber.commands_of(envelope.event_id)
        ]
        if asked:
            self._done |= await known_commands(self._connection, asked)

    def has_seen(self, turn: Turn, envelope: Envelope) -> bool:
        return turn in self._waiting or envelope.version <= self._seen.get(turn, UNSEEN).version

    async def offer(self, subscriber: Subscriber, envelope: Envelope) -> None:
        """Takes the fact, or parks it and its aggregate with it."""
        turn = Turn(subscriber.name, envelope.aggregate_id)
        if turn in self._waiting:
            if envelope.version > self._seen.get(turn, UNSEEN).version:
                self.park(subscriber, envelope, BEHIND)
            return
        with at_work_on(envelope.told):
            fate = await self.attempt(subscriber, envelope)
            if fate is not None:
                self.park(subscriber, envelope, fate)

    def park(self, subscriber: Subscriber, envelope: Envelope, fate: Fate) -> None:
        turn = Turn(subscriber.name, envelope.aggregate_id)
        self._waiting.add(turn)
        self._parkings.append(
            Parking(*turn, envelope.version, envelope.type, envelope.record, fate)
        )
        if fate.kind not in ("behind", "held"):
            log.error(
                "parked for %s: event %s of %s, %s",
                *(subscriber.name, envelope.event_id, envelope.record.topic, fate.reason),
            )

    def park_unreadable(self, record: Record, reason: str) -> None:
        """No aggregate waits for it: nobody knows which it would be."""
        fate = Fate("untrustworthy", reason, is_final=True)
        self._parkings.append(Parking(ALL, None, None, "", record, fate))
        log.error("not a fact: %s/%s/%s, %s", *record[:3], reason)

    async def attempt(
        self, subscriber: Subscriber, envelope: Envelope, *, is_held_enough: bool = False
    ) -> Fate | None:
        """None: it is taken, or was before. Otherwise why not. In a careless intake the exception
        of the subscriber leaves this.
        """
        turn = Turn(subscriber.name, envelope.aggregate_id)
        seen = self._seen.get(turn, UNSEEN)
        if envelope.version <= seen.version:
            is_fork = envelope.version == seen.version and envelope.chain != seen.chain
            return Fate("forked", "another fact has this version", True) if is_fork else None
        if envelope.version > seen.version + 1:
            missing = f"versions {seen.version + 1} to {envelope.version - 1} never came"
            return Fate("failed", missing, is_final=True)
        if not envelope.follows(seen.chain):
            return Fate("forked", "it does not follow the fact before it", is_final=True)
        fate = await self._take(subscriber, envelope, is_held_enough)
        if fate is None:
            self._seen[turn] = self._changed[turn] = Seen(envelope.version, envelope.chain)
            self._delivered[subscriber.name, envelope.record.topic] += 1
        return fate

    async def _take(
        self, subscriber: Subscriber, envelope: Envelope, is_held_enough: bool
    ) -> Fate | None:
        recorded = handled(subscriber, envelope, self._house.skipped)
        if recorded is None or isinstance(recorded, Fate):
            return recorded
        if subscriber.decides and not is_held_enough and (missing := self._missing(envelope)):
            return Fate("held", "what it is based on has not come yet", based_on=missing)
        name = f"{subscriber.name} take {recorded.fact.fact_type}"
        about = {"subscriber": subscriber.name, "messaging.message.id": str(envelope.event_id)}
        with self._house.sight.tracer.begin(name, envelope.traceparent, "consumer", about):
            return await self._guarded(subscriber, envelope, recorded)

    def _missing(self, envelope: Envelope) -> tuple[Basis, ...]:
        """What the decision rested on and this service reads, but has not seen."""
        return tuple(basis for basis in envelope.bases() if not self.is_seen(basis))

    def is_seen(self, basis: Basis) -> bool:
        return all(
            self._seen.get(Turn(each.name, basis.aggregate_id), UNSEEN).version >= basis.version
            for each in self._house.on(basis.topic)
        )

    async def _guarded(
        self, subscriber: Subscriber, envelope: Envelope, recorded: Recorded[Any]
    ) -> Fate | None:
        taking = Taking(self.window, self._context, self._done)
        if not self._is_careful:
            async with asyncio.timeout(self._house.time_limit):
                await subscriber.take(taking, envelope, recorded)
                await self._connection.round_if_long()
            return None
        mark = self.window.mark()
        try:
            async with self._connection.transaction():
                async with asyncio.timeout(self._house.time_limit):
                    await subscriber.take(taking, envelope, recorded)
                    await self._connection.round()
                self.window.refuse_unsaved()
        except (Clash, AlreadyDone):
            raise
        except Exception as fault:
            if is_passing(fault) or self._connection.closed:
                raise
            self._connection.forget()
            self.window.set_back(mark)
            log.warning("event %s failed in %s", envelope.event_id, subscriber.name, exc_info=fault)
            return failed_by(fault)
        return None

    def _context(self, envelope: Envelope, command_id: UUID) -> Context:
        return Context(
            actor=self._house.actor,
            now=self._now,
            command_id=command_id,
            correlation_id=envelope.correlation_id,
            causation_id=envelope.event_id,
            traceparent=tracing.traceparent(),
        )

    def write(self, offsets: Mapping[Track, int]) -> None:
        """What was seen and taken and what was parked, into the transaction's last round."""
        tracking.taken(self._connection, self._changed, offsets)
        parking.park(self._connection, self._parkings, self._house.timing, self._now)

    async def append_and_commit(self) -> None:
        """Raises Clash, AlreadyDone, psycopg's errors; the transaction has failed then."""
        await self.window.append_and_commit(self._house.now())
        self._count()

    def _count(self) -> None:
        """Once it is committed: what is rolled back is taken again."""
        metrics = self._house.sight.metrics
        for (subscriber, topic), count in self._delivered.items():
            metrics.delivered.labels(subscriber, topic).inc(count)
        for each in self._parkings:
            metrics.parkings.labels(each.subscriber, each.fate.kind).inc()
