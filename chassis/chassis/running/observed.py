"""What is so now in the store, the relay, the delivery and the deadlines, for who asks /metrics."""

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from importlib.metadata import version
from typing import LiteralString

import psycopg
from aiokafka.errors import KafkaError

from chassis.clock import Clock
from chassis.errors import Unavailable
from chassis.running.service import Service
from chassis.running.work import Work
from chassis.storage.event_store import PostgresEventStore
from chassis.telemetry.metrics import State
from chassis.web.health import Health

log = logging.getLogger(__name__)

WITHIN = 2.0  # seconds for each of the three readings, which run side by side

RELAYED: LiteralString = """
SELECT (SELECT coalesce(max(position), 0) FROM events) AS head, relay.position,
    (SELECT recorded_at FROM events WHERE events.position = relay.position + 1) AS waits_since
FROM relay"""
PARKED: LiteralString = """
SELECT state, kind, count(*) FROM parking WHERE state IN ('waiting', 'dead') GROUP BY state, kind"""
PARKED_AGGREGATES: LiteralString = """
SELECT subscriber, count(DISTINCT aggregate_id) FROM parking
WHERE state IN ('waiting', 'dead') AND aggregate_id IS NOT NULL GROUP BY subscriber"""
DEADLINES: LiteralString = """
SELECT count(*), count(*) FILTER (WHERE due_at <= %(now)s),
    min(due_at) FILTER (WHERE due_at <= %(now)s)
FROM deadlines WHERE fired_at IS NULL"""

Samples = list[tuple[Sequence[str], float]]


def alone(value: float) -> Samples:
    """The one sample of a gauge without labels."""
    return [((), value)]


class Observed:
    """Of a process without a worker only what it is itself: the rest is its worker's to tell."""

    def __init__(
        self,
        service: Service,
        role: str,
        health: Health,
        events: PostgresEventStore,
        work: Work | None,
    ) -> None:
        self._is = (service.name, role, version("chassis"))
        self._health, self._events, self._work = health, events, work

    async def now(self, clock: Clock) -> State:
        """Never fails: what cannot be read in time is left out, and named."""
        found: dict[str, Samples] = {
            "prm_build_info": [(self._is, 1)],
            "prm_store_blocked": alone(self._events.blocked is not None),
            "prm_scrape_failed": [],
        }
        reading = {"readiness": self._read_readiness(found)}
        if self._work:
            reading["database"] = self._read_database(self._work, clock, found)
            reading["lag"] = self._read_lag(self._work, found)
        await asyncio.gather(*(_tried(what, each, found) for what, each in reading.items()))
        return found

    async def _read_readiness(self, found: dict[str, Samples]) -> None:
        found["prm_ready"] = alone(not await self._health.reasons())

    async def _read_database(self, work: Work, clock: Clock, found: dict[str, Samples]) -> None:
        now, reads = clock.now(), self._events.reads
        [(head, position, waits_since)] = await reads.fetch(RELAYED, ())
        parked = await reads.fetch(PARKED, ())
        aggregates = await reads.fetch(PARKED_AGGREGATES, ())
        [(pending, late, oldest)] = await reads.fetch(DEADLINES, {"now": now})
        errands = (await work.waiting()).rules
        behind_for = (now - waits_since).total_seconds() if waits_since else 0
        found |= {
            "prm_store_position": alone(head),
            "prm_relay_leader": alone(work.relay.is_leader),
            "prm_relay_position": alone(position),
            "prm_relay_behind": alone(head - position),
            "prm_relay_behind_seconds": alone(max(0, behind_for)),
            "prm_parked_facts": [((state, kind), facts) for state, kind, facts in parked],
            "prm_parked_aggregates": [((who,), lines) for who, lines in aggregates],
            "prm_deadlines_pending": alone(pending),
            "prm_deadlines_late": alone(late),
            "prm_errands_waiting": [((it.rule,), it.waiting) for it in errands],
            "prm_errands_in_vain": [((it.rule,), it.in_vain) for it in errands],
            "prm_deadlines_oldest_late_seconds": alone(
                (now - oldest).total_seconds() if oldest else 0
            ),
        }

    async def _read_lag(self, work: Work, found: dict[str, Samples]) -> None:
        stopped = len(work.worker.committer.stopped)
        found["prm_delivery_stopped_partitions"] = alone(stopped)
        found["prm_delivery_lag"] = list((await work.worker.lags()).items())


async def _tried(what: str, reading: Awaitable[None], found: dict[str, Samples]) -> None:
    has_failed = False
    try:
        async with asyncio.timeout(WITHIN):
            await reading
    except (KafkaError, OSError, TimeoutError, psycopg.Error, Unavailable) as away:
        has_failed = True
        log.warning("metrics: %s cannot be read: %s", what, type(away).__name__)
    found["prm_scrape_failed"].append(((what,), has_failed))
