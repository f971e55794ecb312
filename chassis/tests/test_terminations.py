"""The database ends all connections of a service under load, again and again."""

import psycopg
import pytest

from chassis.testing.chaos import Chaos
from chassis.testing.topics import Topics

from .deployed import Deployment, Program, started
from .steady import assert_whole, calling

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]


def terminate_all(deployment: Deployment) -> int:
    """How many sessions there were."""
    with psycopg.connect(deployment.admin_dsn, autocommit=True) as admin:
        ended = admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ANY (%s)",
            ([deployment.service.database, deployment.key_database],),
        )
        return len(ended.fetchall())


def test_nothing_is_lost_or_doubled(deployment: Deployment, topics: Topics, chaos: Chaos) -> None:
    with started(deployment, Program("tests.crashing")) as process:
        process.until_answers("/readyz", 200)
        with calling(process.url, chaos) as callers:
            for _ in range(chaos.kills):
                callers.go_on(20)
                assert terminate_all(deployment)
            callers.go_on(20)
            callers.end()
            assert callers.lost == []
            assert_whole(process, topics, callers)
