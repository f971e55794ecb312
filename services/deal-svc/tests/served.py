"""deal-svc behind its HTTP face, with an issuer of its own for the tokens."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import uuid4

import httpx2
import jwt
import psycopg
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import FastAPI
from jwt.algorithms import ECAlgorithm
from psycopg import sql
from psycopg_pool import AsyncConnectionPool

from chassis.context import Actor
from chassis.running.admin import KEY_TABLES
from chassis.storage.database import PooledDatabase
from chassis.vault import Vault
from chassis.web.http import Ports, install
from chassis.web.identity import Identity
from chassis.web.positions import Tokens
from chassis.web.waiting import Waiting
from deal_svc.main import SERVICE

from .cast import NOW
from .platform import DealService

URL = "http://deal-svc.example"
SIGNING_KEY = ec.generate_private_key(ec.SECP256R1())


async def published_keys() -> dict[str, Any]:
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


class StandingClock:
    def now(self) -> datetime:
        return NOW


class Caller:
    """One person's requests; questions are asked once the read models are level."""

    def __init__(self, service: DealService, client: httpx2.AsyncClient) -> None:
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
        bearer = f"Bearer {token(actor)}"
        headers = {"Authorization": bearer, "Idempotency-Key": key or str(uuid4())}
        headers |= {"If-Match": if_match} if if_match else {}
        return await self.client.post(path, json=body, headers=headers)

    async def ask(self, actor: Actor, path: str, **params: Any) -> httpx2.Response:
        await self.service.settle()
        headers = {"Authorization": f"Bearer {token(actor)}"}
        return await self.client.get(path, params=params, headers=headers)


@asynccontextmanager
async def served(service: DealService) -> AsyncIterator[Caller]:
    with psycopg.connect(service.dsn) as owner:
        owner.execute(sql.SQL(KEY_TABLES).format(erasers=sql.Literal("pg_monitor")))
    keys = AsyncConnectionPool(service.dsn, kwargs={"autocommit": True}, open=False)
    await keys.open()
    database = PooledDatabase(service.dsn, 2)
    await database.open()
    topics_by_model = {each.name: frozenset({each.topic.name}) for each in SERVICE.projections}
    ports = Ports(
        events=service.events,
        database=database,
        vault=Vault(keys, bytes(32)),
        clock=StandingClock(),
        identity=Identity(URL, published_keys),
        tokens=Tokens(bytes(32), SERVICE.topics),
        waiting=Waiting(database, topics_by_model),
    )
    app = FastAPI()
    for router in SERVICE.routers:
        app.include_router(router)
    install(app, ports)
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url=URL) as client:
        yield Caller(service, client)
    await database.close()
    await keys.close()
