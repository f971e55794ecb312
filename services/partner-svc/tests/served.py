"""partner-svc behind its HTTP face on a real database; its facts are projected by hand."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx2

from chassis.testing import StoredFact, event_store, stored_facts
from chassis.testing.served import URL
from chassis.testing.served import served as service_served
from chassis.web.http import Ports
from partner_svc import api
from partner_svc.issuer.endpoints import routes
from partner_svc.issuer.signing import Signing
from partner_svc.issuer.terms import Terms
from partner_svc.worker import PROJECTIONS
from prm_contracts.catalogue import topics_of

from .cast import recorded
from .tables import filled

SECRET = "operator's secret"
FORM = {"grant_type": "client_credentials", "client_id": "operator", "client_secret": SECRET}


class PartnerService:
    def __init__(self, dsn: str, ports: Ports, client: httpx2.AsyncClient) -> None:
        self.dsn, self.ports, self.client = dsn, ports, client

    async def asked_token(self, **form: str) -> httpx2.Response:
        return await self.client.post("/oauth/token", data=FORM | form)

    async def token(self, role: str, partner: str | None = None, person: str | None = None) -> str:
        named = {"role": role, "partner_id": partner, "person": person}
        answer = await self.asked_token(**{k: v for k, v in named.items() if v})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    async def tell(
        self, token: str, path: str, body: dict[str, Any] | None = None, key: str | None = None
    ) -> httpx2.Response:
        """A command; without `key` it is a new one."""
        head = {"Authorization": f"Bearer {token}", "Idempotency-Key": key or str(uuid4())}
        return await self.client.post(path, json=body, headers=head)

    async def ask(self, token: str, path: str, **params: Any) -> httpx2.Response:
        """A question, once the read models are level."""
        self.project()
        head = {"Authorization": f"Bearer {token}"}
        return await self.client.get(path, params=params, headers=head)

    def project(self) -> None:
        """All facts again: the read models take each once."""
        filled(
            self.dsn,
            [
                statement
                for stored in stored_facts(self.dsn)
                for projection in PROJECTIONS
                if isinstance(stored.fact, projection.topic.facts)
                and (
                    statement := projection.statement(
                        recorded(stored.fact, stored.aggregate_id, stored.version)
                    )
                )
            ],
        )

    def stored(self) -> list[StoredFact]:
        return stored_facts(self.dsn)


@asynccontextmanager
async def served(
    dsn: str, *, operator_secret: str | None = SECRET, master_key: bytes = bytes(32)
) -> AsyncIterator[PartnerService]:
    def terms() -> Terms:
        return Terms(URL, operator_secret)

    signing = Signing(terms)
    async with (
        event_store(dsn, "partner_svc") as events,
        service_served(
            dsn,
            events,
            routers=(*api.routers, routes(terms, signing)),
            topics=topics_of("partner-svc"),
            projections=PROJECTIONS,
            keys=signing.published,
            master_key=master_key,
        ) as (ports, client),
    ):
        yield PartnerService(dsn, ports, client)
