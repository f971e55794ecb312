"""Fixtures of deal-svc: the service on a database of its own."""

from collections.abc import AsyncIterator

import pytest

from chassis.testing.served import StandingClock, served
from deal_svc.main import SERVICE

from .platform import Caller, DealService, running


@pytest.fixture
async def service(fresh_database: str) -> AsyncIterator[DealService]:
    """Two partners are active, two products listed, an approver has a limit."""
    async with running(fresh_database) as service:
        await service.begin()
        yield service


@pytest.fixture
async def caller(service: DealService) -> AsyncIterator[Caller]:
    """The service over HTTP."""
    async with served(
        service.dsn,
        service.events,
        routers=SERVICE.routers,
        topics=SERVICE.topics,
        projections=SERVICE.projections,
        clock=StandingClock(service.now),
    ) as (_, client):
        yield Caller(service, client)
