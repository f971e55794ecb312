"""Fixtures of partner-svc: the service over HTTP, on a database of its own."""

from collections.abc import AsyncIterator

import pytest

from .served import PartnerService, served


@pytest.fixture
async def service(fresh_database: str) -> AsyncIterator[PartnerService]:
    """In a story, so that the operator gets tokens; nobody is known yet."""
    async with served(fresh_database) as service:
        yield service
