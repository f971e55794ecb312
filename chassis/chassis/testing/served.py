"""A service behind its HTTP face, on a real database, with an issuer of the test's own."""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import uuid4

import httpx2
import jwt
import psycopg
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import FastAPI
from jwt.algorithms import ECAlgorithm
from psycopg import sql
from psycopg_pool import AsyncConnectionPool

from chassis.clock import Clock, RealClock
from chassis.context import Actor
from chassis.delivery import Projection
from chassis.running.admin import KEY_TABLES
from chassis.running.process import own_types_of_read_models, topics_of_read_models
from chassis.running.service import Service
from chassis.storage.event_store import PostgresEventStore
from chassis.storage.history import History
from chassis.storage.postgres import PooledReads
from chassis.storage.questions import Questions
from chassis.testing import reader_of
from chassis.testing.by_hand import ByHand
from chassis.vault import Vault
from chassis.web.http import Ports, install
from chassis.web.identity import Identity
from chassis.web.live import Live
from chassis.web.positions import Tokens
from chassis.web.routes import Router, put_on
from chassis.web.waiting import Waiting
from prm_contracts.facts import Topic

S = TypeVar("S", bound=ByHand)
URL = "http://service.example"
SIGNING_KEY = ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True)
class StandingClock:
    at: datetime

    def now(self) -> datetime:
        return self.at


async def published_keys(_: Ports) -> dict[str, Any]:
    public = json.loads(ECAlgorithm.to_jwk(SIGNING_KEY.public_key()))
    return {"keys": [public | {"kid": "test", "alg": "ES256", "use": "sig"}]}


def token(actor: Actor) -> str:
    claims: dict[str, Any] = {
        "iss": URL,
        "aud": "prm",
        "sub": str(actor.id),
        "roles": sorted(actor.roles),
        "exp": int(time.time()) + 600,
    }
    if actor.tenant_id:
        claims["partner_id"] = str(actor.tenant_id)
    headers = {"kid": "test", "typ": "at+jwt"}
    return jwt.encode(claims, SIGNING_KEY, algorithm="ES256", headers=headers)


class Caller(Generic[S]):
    """People's requests; questions are asked once the read models are level."""

    def __init__(self, service: S, client: httpx2.AsyncClient) -> None:
        self.service, self.client = service, client

    async def tell(
        self,
        actor: Actor,
        path: str,
        body: object = None,
        *,
        if_match: str | None = None,
        key: str | None = None,
    ) -> httpx2.Response:
        """A command; without `key` it is a new one."""
        bearer = f"Bearer {token(actor)}"
        headers = {"Authorization": bearer, "Idempotency-Key": key or str(uuid4())}
        headers |= {"If-Match": if_match} if if_match else {}
        return await self.client.post(path, json=body, headers=headers)

    async def ask(self, actor: Actor, path: str, **params: Any) -> httpx2.Response:
        await self.service.settle()
        headers = {"Authorization": f"Bearer {token(actor)}"}
        return await self.client.get(path, params=params, headers=headers)


@asynccontextmanager
async def served(
    dsn: str,
    events: PostgresEventStore,
    *,
    routers: Sequence[Router],
    topics: tuple[Topic[Any], ...],
    projections: Sequence[Projection],
    clock: Clock | None = None,
    keys: Callable[[Ports], Awaitable[dict[str, Any]]] = published_keys,
    master_key: bytes = bytes(32),
) -> AsyncIterator[tuple[Ports, httpx2.AsyncClient]]:
    """`keys`: the issuer's, as in Service.own_keys; people's keys lie in the same database."""
    with psycopg.connect(dsn) as owner:
        owner.execute(sql.SQL(KEY_TABLES).format(erasers=sql.Literal("pg_monitor")))
    service = Service("served", "served", "", (), topics, projections=tuple(projections))
    database, questions = PooledReads(dsn, 2), Questions(reader_of(dsn), 2)
    waiting = Waiting(database, topics_of_read_models(service))
    await database.open()
    await questions.open()
    async with AsyncConnectionPool(dsn, kwargs={"autocommit": True}, open=False) as people:
        ports = Ports(
            events=events,
            database=database,
            questions=questions,
            history=History(events.reads, questions, projections),
            live=Live(database, waiting, own_types_of_read_models(service)),
            vault=Vault(people, master_key),
            clock=clock or RealClock(),
            identity=Identity(URL, lambda: keys(ports)),
            tokens=Tokens(bytes(32), topics),
            waiting=waiting,
        )
        app = FastAPI()
        put_on(app, *routers)
        install(app, ports)
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url=URL) as client:
            yield ports, client
    ports.live.stop()
    await questions.close()
    await database.close()
