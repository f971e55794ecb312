"""Facts out: the store's log onto its topics, in its order, by one leader a service."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, LiteralString

import psycopg
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from psycopg.conninfo import make_conninfo

from chassis.consuming.records import STORED, StoredRow
from chassis.publishing.dead_letters import Letters
from chassis.publishing.ends import Ahead, compare_ends, expect_restored
from chassis.publishing.losses import first_lost
from chassis.publishing.producing import SEND_WITHIN, Batches, a_producer, closed
from chassis.publishing.topics import TopicDiffers, expect_prepared
from chassis.storage.postgres import CONNECT_WITHIN
from chassis.storage.rounds import Answer, Connection
from chassis.storage.wire import id_text
from chassis.telemetry.at_work import at_work_on
from chassis.telemetry.sight import Sight
from chassis.telemetry.tracing import is_sampled
from prm_contracts.facts import Topic, UnknownFact, current_type, unversioned

log = logging.getLogger(__name__)

BATCH, GROWTH = 500, 10  # facts; half after a failure, and then ten more each time
POLL = 0.005  # seconds
POLL_WOKEN = 0.05  # seconds, where appends of this process wake it
STANDBY_POLL = 0.5  # seconds, while another process leads
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 3.0  # seconds, after a failure
CANCELLED_WITHIN = 5.0  # seconds; longer than a round takes to end
ALIVE_EVERY = 1.0  # seconds; the database takes leadership from a session silent for three
LEADER = 5928343

# What a crash of the server takes of the confirmed position is sent again. And a plan of when the
# log was short would read all of it.
QUICK = "-c synchronous_commit=off -c enable_seqscan=off -c jit=off"
NEXT: LiteralString = (
    f"SELECT {STORED} FROM events"  # noqa: S608 - constants of this house
    " WHERE position > %s ORDER BY position LIMIT %s"
)
LOST: LiteralString = (
    "SELECT coalesce(sum(last - first + 1), 0)::bigint FROM lost_facts"
    " WHERE aggregate_id IS NULL AND first >= %s AND last < %s"
)
CONFIRM: LiteralString = "UPDATE relay SET position = %s WHERE position = %s"
HEADS: LiteralString = (
    "SELECT (SELECT coalesce(max(position), 0) FROM events), (SELECT position FROM relay)"
)


class Gap(Exception):
    """Positions are given without gaps: what is missing was taken out of the store."""


class LeadershipLost(Exception):
    """Another process has moved the confirmed position."""


class Relay:
    """`head`: the store's last position; `published`: the last one on its topic; `blocked`: why the
    store must not take commands; `reasons`: why facts do not leave. All as last seen.
    """

    def __init__(
        self,
        service: str,
        dsn: str,
        bootstrap: str,
        topics: Sequence[Topic[Any]],
        on_blocked: Callable[[str | None], None] = lambda _: None,
        *,
        sight: Sight | None = None,
    ) -> None:
        self.head = self.published = 0
        self.blocked: str | None = None
        self.reasons: tuple[str, ...] = ("the relay has not started",)
        self.is_leader = self.has_looked = False
        self._service, self._bootstrap, self._topics = service, bootstrap, topics
        self._dsn = make_conninfo(
            dsn,
            options=f"-c idle_session_timeout=3s {QUICK}",
            connect_timeout=CONNECT_WITHIN,
            tcp_user_timeout=3000,
        )
        self._topic_of = {
            unversioned(fact.fact_type): topic for topic in topics for fact in topic.facts
        }
        self._on_blocked, self._sight = on_blocked, sight or Sight()
        self._woken, self._stopping = asyncio.Event(), asyncio.Event()
        self._poll = POLL
        self._batch = BATCH
        self._letters = Letters(service, bootstrap)

    def wake(self, position: int = 0) -> None:
        """Something was appended in this process."""
        self._poll = POLL_WOKEN
        self.head = max(self.head, position)
        self._woken.set()

    def stop(self) -> None:
        """`run` returns soon."""
        self._stopping.set()
        self._woken.set()

    async def run(self) -> None:
        """Until `stop`. Neither a broker nor a database that is away ends it."""
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            before = self.published
            try:
                await self._with_connection()
            except (psycopg.Error, KafkaError, OSError, TimeoutError, LeadershipLost) as failure:
                self._fail(f"relay: {type(failure).__name__} {failure}".strip())
                # A database that was away may come back older, or empty.
                self.has_looked = not isinstance(failure, psycopg.Error)
            except (Gap, UnknownFact, TopicDiffers) as alarm:
                self._fail(f"relay stopped: {type(alarm).__name__} {alarm}")
                pause = LONGEST_PAUSE
                self.has_looked = True
            self.is_leader = False
            # What is too much for SEND_WITHIN would be too much for ever.
            self._batch = max(1, self._batch // 2)
            pause = FIRST_PAUSE if self.published > before else min(2 * pause, LONGEST_PAUSE)
            with suppress(TimeoutError):  # what wakes it does not make broker or database answer
                await asyncio.wait_for(self._stopping.wait(), pause)

    def _fail(self, reason: str) -> None:
        if self.reasons != (reason,):
            with at_work_on(lambda: {"position": self.published}):
                log.warning(reason)
        self.reasons = (reason,)

    async def _with_connection(self) -> None:
        connection = await Connection.connect(self._dsn, autocommit=True)
        async with connection:
            while not self._stopping.is_set() and not await self._is_elected(connection):
                await self._look(connection)
                self.reasons, self.has_looked = (), True  # who leads has compared
                await self._sleep(STANDBY_POLL)
            if not self._stopping.is_set():
                await self._lead(connection)

    async def _is_elected(self, connection: Connection) -> bool:
        found = await connection.execute("SELECT pg_try_advisory_lock(%s)", (LEADER,))
        return bool((await found.fetchall())[0][0])

    async def _look(self, connection: Connection) -> int:
        [(self.head, self.published)] = (await connection.now(HEADS)).rows
        return self.published

    async def _lead(self, connection: Connection) -> None:
        await self._look(connection)
        await _alive(connection, self._compare(connection))
        self.has_looked = True
        producer = a_producer(self._bootstrap)
        try:
            await _alive(connection, producer.start())
            self.reasons, self.is_leader = (), True
            while not self._stopping.is_set():
                sent = await self._publish(connection, producer)
                await self._letters.look(connection)  # also while there is always more to send
                if not sent:
                    await self._sleep(self._poll)
        finally:
            # Not used again after a failed send: the broker may answer OutOfOrderSequence for ever.
            await closed(producer)
            await self._letters.close()

    async def _compare(self, connection: Connection) -> None:
        """Blocks the store where the topics know more than it: it was set back. Where they know
        less, it publishes that again.
        """
        await expect_prepared(self._bootstrap, self._topics)
        try:
            await expect_restored(connection)
            lasts = await compare_ends(connection, self._bootstrap, self._service, self._topics)
        except Ahead as ahead:
            self.blocked = f"{ahead}: `prm restore {self._service}` brings the database forward"
            self._on_blocked(self.blocked)
            raise Gap(self.blocked) from ahead
        if self.blocked:
            self.blocked = None
            self._on_blocked(None)
        lost = await first_lost(connection, self._topics, self._topic, lasts, self.published)
        if lost is not None:
            log.error("the broker has lost facts: published again from position %s on", lost)
            await connection.now(CONFIRM, (lost - 1, self.published))
            self.published = lost - 1

    async def _publish(self, connection: Connection, producer: AIOKafkaProducer) -> int:
        """What is there, batch by batch: sent, acknowledged, confirmed. Answers how many facts."""
        begun = self.published
        found = await connection.now(NEXT, (begun, self._batch))
        rows = await self._followed(connection, found, begun)
        while rows:
            last = rows[-1].position
            self.head = max(self.head, last)
            await _alive(connection, self._send(producer, rows))
            self._batch = min(self._batch + GROWTH, BATCH)
            moved = connection.later(CONFIRM, (last, self.published))
            following = await connection.now(NEXT, (last, self._batch))
            if not moved.count:
                raise LeadershipLost
            self.published = last
            if self._stopping.is_set():
                break
            rows = await self._followed(connection, following, last)
        return self.published - begun

    async def _followed(
        self, connection: Connection, found: Answer, position: int
    ) -> list[StoredRow]:
        """The facts behind a position. Raises Gap, unless an operator accepted what is missing."""
        rows = [StoredRow(*row) for row in found.rows]
        for row in rows:
            missing = row.position - position - 1
            if missing:
                lost = await connection.now(LOST, (position + 1, row.position))
                if lost.rows != [(missing,)]:
                    raise Gap(f"position {position + 1} is missing")
            position = row.position
        return rows

    async def _send(self, producer: AIOKafkaProducer, rows: Sequence[StoredRow]) -> None:
        began_at = time.time_ns()
        try:
            async with asyncio.timeout(SEND_WITHIN):
                await self._acknowledged(producer, rows)
        except BaseException:
            self._sight.metrics.send_failures.inc()
            raise
        self._tell_sent(rows, began_at)

    def _tell_sent(self, rows: Sequence[StoredRow], began_at: int) -> None:
        for topic, count in Counter(self._topic(row.type).name for row in rows).items():
            self._sight.metrics.sent.labels(topic).inc(count)
        if self._sight.tracer.is_recording:
            for row in rows:
                if is_sampled(row.traceparent):
                    about = {"messaging.message.id": id_text(row.event_id), "fact": row.type}
                    name = f"publish {self._topic(row.type).name}"
                    self._sight.tracer.record(name, row.traceparent, began_at, about)

    async def _acknowledged(self, producer: AIOKafkaProducer, rows: Sequence[StoredRow]) -> None:
        batches = Batches(producer)
        for row in rows:
            await batches.add(self._topic(row.type), row)
        await batches.sent()

    def _topic(self, fact_type: str) -> Topic[Any]:
        """Of a superseded or a newer type too. Raises UnknownFact: nothing may be skipped."""
        topic = self._topic_of.get(unversioned(fact_type))
        if topic is None:  # superseded by one of another name
            topic = self._topic_of.get(unversioned(current_type(fact_type).fact_type))
        if topic is None:
            raise UnknownFact(f"{fact_type} lies on no topic of {self._service}")
        return topic

    async def _sleep(self, seconds: float) -> None:
        """Or until woken, once: who is woken looks at all there is."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), seconds)
        self._woken.clear()


async def _alive(connection: Connection, work: Any) -> Any:
    """Awaits the work; meanwhile the session that holds leadership is not silent."""
    task = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait([task], timeout=ALIVE_EVERY))[0]:
            await connection.execute("SELECT 1")
        return await task
    finally:
        task.cancel()
        # It may still use the connection, which is closed next; clients swallow cancellations.
        await asyncio.wait([task], timeout=CANCELLED_WITHIN)
