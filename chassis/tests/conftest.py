"""A service of its own for each test of relay and delivery: topics, database, clock."""

from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import psycopg
import pytest

from chassis.publishing.topics import prepare_topics
from chassis.storage.event_store import PostgresEventStore
from chassis.storage.migrate import migrate
from chassis.testing import event_store
from chassis.testing.chaos import Chaos
from chassis.testing.topics import Topics
from prm_contracts.facts import Topic

from .deployed import Deployment, deployed
from .listings import Listing
from .reactions import FAILING, MODELS, Sample, Setup, Stranger


@pytest.fixture(scope="session")
def deployment(postgres_server: str, kafka_broker: str) -> Iterator[Deployment]:
    """One a broker: its topic has one store, which is never younger."""
    with deployed(postgres_server, kafka_broker) as deployment:
        yield deployment


@pytest.fixture
def topics(kafka_broker: str) -> Iterator[Topics]:
    topics = Topics(kafka_broker)
    yield topics
    topics.close()


@pytest.fixture
def chaos() -> Chaos:
    return Chaos.asked()


@pytest.fixture
async def setup(fresh_database: str, kafka_broker: str, monkeypatch: pytest.MonkeyPatch) -> Setup:
    monkeypatch.setattr(Topic, "carrying", {})
    FAILING.clear()
    run = uuid4().hex[:8]
    sample = Sample(run)
    migrate(fresh_database)
    with psycopg.connect(fresh_database) as owner:
        owner.execute(MODELS)
    await prepare_topics(kafka_broker, sample.all_topics, [sample.name])
    return Setup(run, fresh_database, kafka_broker)


@pytest.fixture
def listing(setup: Setup) -> Listing:
    listing = Listing(setup)
    listing.prepare()
    return listing


@pytest.fixture
async def orders(setup: Setup) -> AsyncIterator[Stranger]:
    async with Stranger(setup.bootstrap, Sample(setup.run).orders) as stranger:
        yield stranger


@pytest.fixture
async def named(setup: Setup) -> AsyncIterator[Stranger]:
    async with Stranger(setup.bootstrap, Sample(setup.run).names) as stranger:
        yield stranger


@pytest.fixture
async def events(setup: Setup) -> AsyncIterator[PostgresEventStore]:
    async with event_store(setup.dsn) as store:
        yield store
