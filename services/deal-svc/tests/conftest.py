"""Fixtures of deal-svc: the service on a database of its own."""

from collections.abc import AsyncIterator

import pytest

from .platform import DealService, running
from .served import Caller, served


@pytest.fixture
async def service(fresh_database: str) -> AsyncIterator[DealService]:
    """Two partners are active, two products listed, an approver has a limit."""
    async with running(fresh_database) as service:
        await service.begin()
        yield service


@pytest.fixture
async def caller(service: DealService) -> AsyncIterator[Caller]:
    """The service over HTTP."""
    async with served(service) as caller:
        yield caller
