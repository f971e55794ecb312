"""Fixtures of deal-svc: the service on a database of its own."""

from collections.abc import AsyncIterator

import pytest

from .platform import DealService, running


@pytest.fixture
async def service(fresh_database: str) -> AsyncIterator[DealService]:
    """Two partners are active, two products listed, an approver has a limit."""
    async with running(fresh_database) as service:
        await service.begin()
        yield service
