"""One platform for all stories, on its own broker and database."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from chassis.testing.chaos import Chaos
from chassis.testing.topics import Topics
from ops.platform import Platform
from ops.testing import own_settings

from .story import Story


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    home = Path(tempfile.mkdtemp(prefix="prm-story-"))
    platform = Platform(own_settings(home), own_ports=True, bound=True)
    try:
        yield platform.up(story=True)
    finally:
        platform.clean()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def topics(platform: Platform) -> Iterator[Topics]:
    """Ended with its story: its thread would draw random numbers while hypothesis does."""
    topics = Topics(str(platform.state.kafka))
    yield topics
    topics.close()


@pytest.fixture(scope="session")
def http() -> Iterator[httpx2.Client]:
    limits = httpx2.Limits(max_connections=64, max_keepalive_connections=64)
    with httpx2.Client(timeout=30, trust_env=False, limits=limits) as client:
        yield client


@pytest.fixture(scope="module")
def story(platform: Platform, topics: Topics, http: httpx2.Client) -> Story:
    return Story(platform, topics, http)


@pytest.fixture
def chaos() -> Chaos:
    return Chaos.asked()
