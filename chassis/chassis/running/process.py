"""The parts of one process of a service, plugged together: ports, routes, worker, health."""

import asyncio
import logging
from collections import defaultdict
from contextlib import suppress
from functools import partial

import psycopg
from fastapi import FastAPI
from psycopg_pool import AsyncConnectionPool

from chassis.clock import RealClock, StoryClock
from chassis.consuming.dead_letters import DeadLetters
from chassis.delivery import Outside
from chassis.running.observed import Observed
from chassis.running.service import Service
from chassis.running.settings import Settings
from chassis.running.work import Work
from chassis.storage.event_store import PostgresEventStore
from chassis.storage.history import History
from chassis.storage.postgres import (
    CONNECT_WITHIN,
    PLANNED_ONCE,
    RECONNECT_FOR,
    PooledReads,
    guarded,
)
from chassis.storage.questions import Questions
from chassis.telemetry.sight import Sight
from chassis.telemetry.tracing import tracer
from chassis.vault import Vault
from chassis.web.admission import Admission
from chassis.web.health import Health
from chassis.web.http import Ports, install
from chassis.web.identity import Identity, keys_at
from chassis.web.live import Live
from chassis.web.operator_api import health_routes, letter_routes, metrics_routes, operator_routes
from chassis.web.positions import Tokens
from chassis.web.routes import put_on
from chassis.web.waiting import Waiting

log = logging.getLogger(__name__)

KEY_CONNECTIONS = 4
KEYS_ASKED_EVERY = 60.0  # seconds; sooner while there are none
CLOCK_READ_EVERY = 1.0


class Process:
    """`app` answers once `open` has returned, whatever is away: its problems say so."""

    def __init__(self, service: Service, settings: Settings) -> None:
        self.service, self.settings = service, settings
        self.keys = AsyncConnectionPool(
            guarded(settings.keys_dsn.get_secret_value(), PLANNED_ONCE),
            kwargs={"autocommit": True},
            min_size=1,
            max_size=KEY_CONNECTIONS,
            timeout=CONNECT_WITHIN,
            reconnect_timeout=RECONNECT_FOR,
            open=False,
        )
        self.clock = StoryClock(self.keys) if settings.story else RealClock()
        dsn = settings.database_dsn.get_secret_value()
        endpoint, ratio = settings.otlp_endpoint, settings.trace_ratio
        self.sight = Sight(tracer=tracer(service.name, endpoint, ratio))
        self.events = PostgresEventStore(dsn, self.clock.now, self._appended, sight=self.sight)
        self.ports = self._plugged(PooledReads(dsn))
        self.health = Health(self._what_is_missing, self._database, self._keys)
        self._api = Health(self._what_is_missing, self._database, self._keys)
        self.work = None if settings.role == "api" else self._working()
        self.app = self._routed()
        self.admission = Admission(service.routers, self.ports)
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = asyncio.Event()

    def _plugged(self, database: PooledReads) -> Ports:
        service, settings = self.service, self.settings
        own_keys = service.own_keys
        source = (lambda: own_keys(self.ports)) if own_keys else keys_at(settings.issuer_url)
        questions = Questions(settings.questions_dsn.get_secret_value())
        waiting = Waiting(database, topics_of_read_models(service))
        return Ports(
            events=self.events,
            database=database,
            questions=questions,
            history=History(self.events.reads, questions, service.projections),
            live=Live(database, waiting, own_types_of_read_models(service)),
            vault=Vault(self.keys, settings.master_key.get_secret_value()),
            clock=self.clock,
            identity=Identity(settings.issuer_url, source),
            tokens=Tokens(settings.token_key.get_secret_value(), service.topics),
            waiting=waiting,
            sight=self.sight,
        )

    def _appended(self, position: int) -> None:
        if self.work:
            self.work.relay.wake(position)

    def _working(self) -> Work:
        ports = self.ports
        work = Work(
            self.service,
            self.settings,
            self.clock,
            self.events,
            outside=Outside(ports.database, ports.vault),
            on_committed=ports.waiting.wake,
            sight=self.sight,
        )
        if self.settings.role == "all":
            work.relay.wake()  # the API here wakes it, so it need not look 200 times a second
        self.health.add(work.reasons)
        return work

    def _routed(self) -> FastAPI:
        service = self.service
        app = FastAPI(
            title=service.name,
            description=service.description,
            redoc_url=None,
            telemetry={"tracing": False, "metrics": False, "logs": False},  # there is our own
            redirect_slashes=False,
        )
        observed = Observed(service, self.settings.role, self.health, self.events, self.work)
        put_on(
            app,
            *(() if self.settings.role == "worker" else service.routers),
            health_routes(self.health),
            metrics_routes(self.sight.metrics, partial(observed.now, self.clock)),
            operator_routes(service.name, self.ports, self.health, self.work),
            letter_routes(DeadLetters(self.ports.database)),
        )
        install(app, self.ports)
        return app

    async def open(self) -> None:
        await self.keys.open()
        await self.ports.database.open()
        await self.ports.questions.open()
        await self.events.open()
        if self.work:
            await self.work.open()
        self._tasks.append(asyncio.create_task(self._know_the_issuer()))
        if isinstance(self.clock, StoryClock):
            self._tasks.append(asyncio.create_task(self._follow(self.clock)))

    async def close(self) -> None:
        self._closing.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.work:
            await self.work.close()
        await self.events.close()
        await self.ports.questions.close()
        await self.ports.database.close()
        await self.keys.close()
        await asyncio.to_thread(self.sight.tracer.close)

    async def can_answer(self) -> bool:
        """Whatever its worker does."""
        return not await self._api.reasons()

    async def _database(self) -> list[str]:
        await self.ports.database.fetch("SELECT 1", ())
        return []

    async def _keys(self) -> list[str]:
        await self.ports.vault.check()
        return []

    async def _what_is_missing(self) -> list[str]:
        reasons = [self.events.blocked] if self.events.blocked else []
        if not self.ports.identity.is_ready:
            reasons.append(f"the issuer's keys are not known: {self.settings.issuer_url}")
        return reasons

    async def _know_the_issuer(self) -> None:
        while not self._closing.is_set():
            await self.ports.identity.refresh()
            await self._pause(KEYS_ASKED_EVERY if self.ports.identity.is_ready else 0.5)

    async def _follow(self, clock: StoryClock) -> None:
        while not self._closing.is_set():
            try:
                await clock.reread()
            except psycopg.Error as away:
                log.warning("the story's clock cannot be read: %s", type(away).__name__)
            await self._pause(CLOCK_READ_EVERY)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)


def topics_of_read_models(service: Service) -> dict[str, frozenset[str]]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for projection in service.projections:
        found[projection.name].add(projection.topic.name)
    return {name: frozenset(topics) for name, topics in found.items()}


def own_types_of_read_models(service: Service) -> dict[str, list[str]]:
    """The facts of its own store that each read model is projected from."""
    own = {topic.name for topic in service.topics}
    found: defaultdict[str, list[str]] = defaultdict(list)
    for projection in service.projections:
        if projection.topic.name in own:
            found[projection.name] += [fact.fact_type for fact in projection.topic.facts]
    return dict(found)
