"""Fixtures of territory-svc: the service on a database of its own."""

from collections.abc import AsyncIterator

import pytest

from chassis.testing.served import served
from territory_svc.main import SERVICE

from .cast import ALPHA, BOREALIS, COBALT
from .platform import Caller, TerritoryService, running


@pytest.fixture
async def service(fresh_database: str) -> AsyncIterator[TerritoryService]:
    """Nothing aligned yet; three partners are live."""
    async with running(fresh_database) as service:
        await service.partner_is_live(ALPHA, BOREALIS, COBALT)
        yield service


@pytest.fixture
async def caller(service: TerritoryService) -> AsyncIterator[Caller]:
    """The service over HTTP, with tokens."""
    async with served(
        service.dsn,
        service.events,
        routers=SERVICE.routers,
        topics=SERVICE.topics,
        projections=SERVICE.projections,
    ) as (_, client):
        yield Caller(service, client)
