"""The part of a process that needs the broker: facts out by the relay, facts in by the worker."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import LiteralString

from chassis.clock import Clock
from chassis.consuming.outbound import Outbound, Waiting
from chassis.consuming.worker import DeliveryState, Worker
from chassis.delivery import Outside
from chassis.publishing.relay import Relay
from chassis.running.service import Service
from chassis.running.settings import Settings
from chassis.storage.event_store import PostgresEventStore
from chassis.telemetry.sight import Sight

FLUSHED_WITHIN = 3.0  # seconds: what was recorded while stopping leaves too, if the broker takes it

HEADS: LiteralString = (
    "SELECT (SELECT coalesce(max(position), 0) FROM events), (SELECT position FROM relay)"
)


class Work:
    """`on_committed` is called when read models have moved."""

    def __init__(
        self,
        service: Service,
        settings: Settings,
        clock: Clock,
        events: PostgresEventStore,
        *,
        outside: Outside,
        on_committed: Callable[[], None],
        sight: Sight,
    ) -> None:
        self._events, self._on_committed = events, on_committed
        dsn, bootstrap = settings.database_dsn.get_secret_value(), settings.kafka_bootstrap
        self.relay = Relay(service.name, dsn, bootstrap, service.topics, self._block, sight=sight)
        self.worker = Worker(
            service,
            dsn=dsn,
            bootstrap=bootstrap,
            clock=clock,
            instance=settings.instance,
            on_committed=self._committed,
            barred=self._barred,
            sight=sight,
        )
        self.outbound = Outbound(
            service, dsn, outside, clock.now, settings.instance, barred=self._barred
        )
        self._is_stopping = False

    async def open(self) -> None:
        await self.worker.open()

    async def close(self) -> None:
        """Also where it never ran."""
        await self.worker.close()

    async def run(self) -> None:
        """Until `stop`. Raises what ended a part of it before."""
        relaying = asyncio.create_task(self.relay.run())
        working = asyncio.create_task(self.worker.run())
        sending = asyncio.create_task(self.outbound.run())
        parts = {relaying, working, sending}
        await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        if not self._is_stopping:
            self.relay.stop()
            self.outbound.stop()
            await self.worker.stop()
        await sending
        await working
        await self._flush(relaying)
        self.relay.stop()
        await relaying

    async def stop(self) -> None:
        """`run` returns when what was begun is finished."""
        self._is_stopping = True
        self.outbound.stop()
        await self.worker.stop()

    async def state(self) -> DeliveryState:
        return await self.worker.state()

    async def heads(self) -> tuple[int, int]:
        [(head, published)] = await self._events.reads.fetch(HEADS, ())
        return head, published

    async def waiting(self) -> Waiting:
        """What is to be done in the outside world. Raises StoreUnavailable."""
        async with self._events.reads.pool.connection() as connection:
            return await self.outbound.waiting(connection)

    async def fire_due(self, until: datetime) -> None:
        await self.worker.fire_due(until)

    async def reset_tracking(self, topic: str, partition: int | None) -> None:
        await self.worker.reset_tracking(topic, partition)

    async def reasons(self) -> tuple[str, ...]:
        """Why facts do not leave, or have no effect here."""
        return *self.relay.reasons, *(await self.worker.state()).reasons

    async def _flush(self, relaying: asyncio.Task[None]) -> None:
        """Readers see now what was decided last, not only when this service is back."""
        end = asyncio.get_running_loop().time() + FLUSHED_WITHIN
        while not relaying.done() and asyncio.get_running_loop().time() < end:
            if not self.relay.is_leader or self.relay.published >= self.relay.head:
                return
            await asyncio.sleep(0.02)

    def _barred(self) -> str | None:
        """Why nothing may be appended: what is, in a store that was set back, makes another history
        of positions that the topics have. While the broker is away that cannot be known.
        """
        if not self.relay.has_looked:
            return "the store is being compared with its topics"
        return self._events.blocked

    def _block(self, reason: str | None) -> None:
        self._events.blocked = reason

    def _committed(self) -> None:
        self._on_committed()
        self.outbound.wake()
        self.relay.wake()  # policies may have recorded facts
