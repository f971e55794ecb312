"""The `eventsourcing` library's own tests of recorders, all of them, run on our append function.

Every test of both classes applies, the one of subscriptions included, which is optional there.
"""

from typing import ClassVar

import pytest
from eventsourcing.tests.persistence import AggregateRecorderTestCase, ApplicationRecorderTestCase

from chassis.storage.migrate import migrate
from chassis.storage.recorder import PostgresAggregateRecorder, PostgresApplicationRecorder


class OnOwnDatabase:
    """Each test has a database of its own: the library's tests expect an empty store."""

    dsn: ClassVar[str]

    @pytest.fixture(autouse=True)
    def database(self, fresh_database: str) -> None:
        migrate(fresh_database)
        type(self).dsn = fresh_database


class TestAggregateRecorder(OnOwnDatabase, AggregateRecorderTestCase):
    def create_recorder(self) -> PostgresAggregateRecorder:
        recorder = PostgresAggregateRecorder(self.dsn)
        self.addCleanup(recorder.close)
        return recorder


class TestApplicationRecorder(
    OnOwnDatabase, ApplicationRecorderTestCase[PostgresApplicationRecorder]
):
    EXPECT_CONTIGUOUS_NOTIFICATION_IDS = True

    def create_recorder(self) -> PostgresApplicationRecorder:
        recorder = PostgresApplicationRecorder(self.dsn)
        self.addCleanup(recorder.close)
        return recorder

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()
