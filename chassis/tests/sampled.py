"""A tiny service of counters, all of the chassis plugged together: what the tests of the HTTP face
talk to. `python -m tests.sampled` runs it as a process.
"""

import asyncio
import base64
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, assert_never
from uuid import UUID, uuid4

import httpx2
import jwt
import psycopg
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import Response
from jwt.algorithms import ECAlgorithm
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import BaseModel, Field

from chassis.delivery import project
from chassis.errors import NotFound
from chassis.running.admin import KEY_TABLES
from chassis.running.process import Process
from chassis.running.runtime import Server, config_of, run
from chassis.running.service import Service
from chassis.running.settings import Settings
from chassis.sql import Listing, Statement
from chassis.storage.migrate import migrate
from chassis.store import Recorded
from chassis.testing import READER_PASSWORD, reader_of
from chassis.web.http import (
    Accepted,
    Asker,
    Ctx,
    HasPorts,
    Ports,
    accepted,
    allowed,
    if_match_required,
    waits_for,
)
from chassis.web.lists import PageAsked, page_of
from chassis.web.pages import AsOf, Listed, listed, one
from chassis.web.routes import Router
from prm_contracts.facts import Value

from .counters import COUNTERS, Counted, CounterFact, CounterOpened, count, open_counter

ISSUER = "http://issuer.example"
TABLES = """
CREATE TABLE IF NOT EXISTS counter_list (
    counter_id uuid PRIMARY KEY, partner_id uuid, sort_key text NOT NULL,
    document jsonb NOT NULL, version int NOT NULL
);
ALTER TABLE counter_list ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS own ON counter_list;
CREATE POLICY own ON counter_list FOR SELECT
    USING (asker_is_vendor() OR partner_id = asker_tenant())
"""
EVERYBODY = allowed("channel-operations", "partner-seller")

SIGNING_KEY = ec.derive_private_key(7, ec.SECP256R1())

router = Router(prefix="/v1/counters", tags=["counters"])


class CounterNotFound(NotFound):
    """There is no such counter, or it is not yours."""


class Line(Value):
    step: int = Field(ge=1, le=100)


class Count(Value):
    lines: list[Line]
    limit: int | None = None


class CounterView(BaseModel):
    counter_id: UUID
    count: int
    note: str | None


CounterPage = Annotated[PageAsked, page_of(CounterView, "count")]


@router.post("", status_code=201, dependencies=[EVERYBODY])
async def post_counter(ctx: Ctx, ports: HasPorts, out: Response) -> Accepted:
    saved = await ports.events.execute(open_counter, ctx, ctx.actor.tenant_id)
    return accepted(saved, ports, out)


@router.post("/{counter_id}/count", dependencies=[EVERYBODY])
async def post_count(
    counter_id: UUID, body: Count, ctx: Ctx, ports: HasPorts, out: Response
) -> Accepted:
    steps = sum(line.step for line in body.lines)
    saved = await ports.events.execute(count, ctx, counter_id, steps, body.limit)
    return accepted(saved, ports, out)


@router.post("/{counter_id}/close", dependencies=[EVERYBODY, if_match_required])
async def post_close(counter_id: UUID, ctx: Ctx, ports: HasPorts, out: Response) -> Accepted:
    return accepted(await ports.events.execute(count, ctx, counter_id), ports, out)


@router.post("/fault", dependencies=[allowed("channel-operations")])
async def post_fault() -> None:
    raise RuntimeError("a secret of the inside")


@router.get(
    "", response_model=Listed[CounterView], dependencies=[EVERYBODY, waits_for("counter_list")]
)
async def get_counters(
    asker: Asker, ports: HasPorts, page: CounterPage, first: str | None = None
) -> Response:
    listing = Listing(
        table="counter_list",
        aggregate_id="counter_id",
        scope="%(tenant_id)s::uuid IS NULL OR partner_id = %(tenant_id)s",
        where="%(first)s::text IS NULL OR sort_key >= %(first)s",
        values={"tenant_id": asker.tenant_id, "first": first},
    )
    return await listed(ports, asker, page, listing, opens=True)


@router.get(
    "/{counter_id}", response_model=CounterView, dependencies=[EVERYBODY, waits_for("counter_list")]
)
async def get_counter(
    counter_id: UUID, asker: Asker, ports: HasPorts, as_of: AsOf = None
) -> Response:
    query = Statement(
        "SELECT document, version FROM counter_list WHERE counter_id = %(id)s"
        " AND (%(tenant_id)s::uuid IS NULL OR partner_id = %(tenant_id)s)",
        {"id": counter_id, "tenant_id": asker.tenant_id},
    )
    missing = CounterNotFound(counter_id)
    return await one(ports, asker, query, missing, opens=True, as_of=as_of)


def counter_list(recorded: Recorded[CounterFact]) -> Statement:
    match recorded.fact:
        case CounterOpened() as opened:
            return Statement(
                "INSERT INTO counter_list VALUES (%(id)s, %(partner_id)s, %(sort_key)s,"
                " %(document)s::jsonb, 1) ON CONFLICT DO NOTHING",
                {
                    "id": recorded.aggregate_id,
                    "partner_id": opened.tenant_id,
                    "sort_key": str(recorded.aggregate_id),
                    "document": json.dumps(
                        {"counter_id": str(recorded.aggregate_id), "count": 0, "note": None}
                    ),
                },
            )
        case Counted() as counted:
            return Statement(
                "UPDATE counter_list SET version = %(version)s, document = jsonb_set(document,"
                " '{count}', to_jsonb((document -> 'count')::int + %(step)s))"
                " WHERE counter_id = %(id)s AND version < %(version)s",
                {"id": recorded.aggregate_id, "version": recorded.version, "step": counted.step},
            )
        case never:
            assert_never(never)


async def published_keys(_: Ports) -> dict[str, Any]:
    public = ECAlgorithm.to_jwk(SIGNING_KEY.public_key(), as_dict=True)
    return {"keys": [public | {"kid": "sample", "alg": "ES256", "use": "sig"}]}


SERVICE = Service(
    name="sample",
    package="tests",
    description="Counts.",
    routers=(router,),
    topics=(COUNTERS,),
    projections=(project(COUNTERS, counter_list),),
    own_keys=published_keys,
)


LASTS = 3600  # seconds: some are made when a run of all tests begins


def token(
    *roles: str,
    partner_id: UUID | None = None,
    key: Any = SIGNING_KEY,
    algorithm: str = "ES256",
    head: dict[str, Any] | None = None,
    **claims: Any,
) -> str:
    """Of one person, valid unless a claim or a header says otherwise; None leaves a claim out."""
    now = int(time.time())
    said = {"iss": ISSUER, "aud": "prm", "sub": str(UUID(int=7)), "nbf": now, "exp": now + LASTS}
    said |= {"roles": list(roles), "partner_id": partner_id and str(partner_id)} | claims
    kept = {name: value for name, value in said.items() if value is not None}
    return jwt.encode(kept, key, algorithm, {"kid": "sample", "typ": "at+jwt"} | (head or {}))


def environment(dsn: str, **others: str) -> dict[str, str]:
    key, database = base64.b64encode(bytes(32)).decode(), conninfo_to_dict(dsn)["dbname"]
    given = {
        "service_port": "0",
        "kafka_bootstrap": "127.0.0.1:1",
        "database_dsn": dsn,
        "questions_dsn": make_conninfo(dsn, user=f"{database}_reader", password=READER_PASSWORD),
        "keys_dsn": dsn,
        "master_key": key,
        "token_key": key,
        "issuer_url": ISSUER,
        "role": "api",
    }
    return {f"PRM_{name.upper()}": value for name, value in (given | others).items()}


def prepared(dsn: str) -> None:
    """All tables in one database."""
    migrate(dsn)
    with psycopg.connect(dsn) as owner:
        owner.execute(sql.SQL(KEY_TABLES).format(erasers=sql.Literal("pg_monitor")))
        owner.execute(TABLES)
    reader_of(dsn)


class Sample:
    """The running service, and somebody of the vendor's operations who talks to it."""

    def __init__(self, process: Process, client: httpx2.AsyncClient) -> None:
        self.process, self.client, self.ports = process, client, process.ports

    async def post(
        self, path: str, body: Any = None, *, who: str = "", key: str | None = None, **headers: str
    ) -> httpx2.Response:
        """`key`: empty for none; else every command has one of its own."""
        head = {"Authorization": f"Bearer {who or token('channel-operations')}"}
        head |= {"Idempotency-Key": str(uuid4()) if key is None else key} if key != "" else {}
        head |= {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post(path, json=body, headers=head)

    async def get(self, path: str, *, who: str = "", **headers: str) -> httpx2.Response:
        head = {"Authorization": f"Bearer {who or token('channel-operations')}"}
        head |= {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.get(path, headers=head)

    async def opened(self, who: str = "") -> str:
        answer = await self.post("/v1/counters", who=who)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])


async def projected(sample: Sample, dsn: str, counter: str) -> None:
    """As the worker does: its read model has all facts of the counter, and says so."""
    facts = await sample.ports.history.facts(UUID(counter), 1000)
    with psycopg.connect(dsn) as worker:
        for recorded in facts:
            statement = counter_list(recorded)
            worker.execute(statement.sql, statement.values)
            worker.execute(
                "INSERT INTO sequences VALUES ('counter_list', %s, %s, '')"
                " ON CONFLICT (subscriber, aggregate_id) DO UPDATE SET version = excluded.version",
                (recorded.aggregate_id, recorded.version),
            )


@asynccontextmanager
async def served(dsn: str, service: Service = SERVICE, **others: str) -> AsyncIterator[Sample]:
    process = Process(service, Settings.read(environment(dsn, **others)))
    await process.open()
    transport = httpx2.ASGITransport(app=process.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://sample.example") as client:
        yield Sample(process, client)
    await process.close()


@asynccontextmanager
async def connected(sample: Sample) -> AsyncIterator[Sample]:
    """The same over connections, as in a process of its own."""
    listening = socket.create_server(("127.0.0.1", 0))
    url = "http://{}:{}".format(*listening.getsockname())
    server = Server(config_of(sample.process))
    serving = asyncio.create_task(server.serve([listening]))
    async with httpx2.AsyncClient(base_url=url, trust_env=False) as client:
        yield Sample(sample.process, client)
    server.should_exit = True
    await serving


if __name__ == "__main__":
    run(SERVICE)
