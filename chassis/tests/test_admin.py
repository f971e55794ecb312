"""The administrator's step: what a service's role may, and above all what it may not."""

from dataclasses import replace
from typing import LiteralString
from uuid import uuid4

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege
from psycopg.rows import tuple_row

from chassis.publishing.topics import TopicDiffers

from .counters import COUNTERS
from .deployed import Deployment, prepared


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET type = 'x'",
        "DELETE FROM events",
        "TRUNCATE events",
        "ALTER TABLE events ADD COLUMN x int",
        "DROP TABLE counter_list",
        "CREATE TABLE public.mine (x int)",
        "DELETE FROM migrations",
    ],
)
def test_a_service_can_neither_rewrite_facts_nor_change_tables(
    deployment: Deployment, statement: LiteralString
) -> None:
    with (
        psycopg.connect(deployment.addresses.database_dsn) as connection,
        pytest.raises(InsufficientPrivilege),
    ):
        connection.execute(statement)


def test_a_services_role_has_no_power_over_the_server(deployment: Deployment) -> None:
    with psycopg.connect(deployment.addresses.database_dsn, row_factory=tuple_row) as connection:
        [powers] = connection.execute(
            "SELECT rolsuper, rolcreaterole, rolcreatedb, rolbypassrls FROM pg_roles"
            " WHERE rolname = current_user"
        ).fetchall()

    assert not any(powers)


def test_keys_are_written_by_their_owner_read_by_all_and_erased_by_none_who_may_not(
    deployment: Deployment,
) -> None:
    new = "INSERT INTO subject_keys (subject, key, wrapped) VALUES (%s, %s, '') RETURNING owner"
    with psycopg.connect(deployment.addresses.keys_dsn, autocommit=True) as connection:
        [(owner,)] = connection.execute(new, (uuid4(), uuid4())).fetchall()
        with pytest.raises(InsufficientPrivilege):
            connection.execute("DELETE FROM subject_keys")
        with pytest.raises(InsufficientPrivilege):
            connection.execute("UPDATE subject_keys SET wrapped = 'x'")
        with pytest.raises(InsufficientPrivilege):
            connection.execute(
                "INSERT INTO subject_keys (subject, key, wrapped, owner)"
                " VALUES (gen_random_uuid(), gen_random_uuid(), '', 'somebody_else')"
            )

    assert owner == deployment.service.role


def test_a_second_time_changes_nothing(deployment: Deployment) -> None:
    assert deployment.prepare_again() == deployment.addresses


def test_a_service_that_erases_can_destroy_keys(deployment: Deployment) -> None:
    eraser = replace(deployment, service=replace(deployment.service, erases=True))

    addresses = eraser.prepare_again()

    with psycopg.connect(addresses.keys_dsn) as connection:
        connection.execute("DELETE FROM subject_keys")


async def test_a_topic_with_another_partition_count_stops_the_step(deployment: Deployment) -> None:
    grown = replace(COUNTERS, partitions=COUNTERS.partitions + 1)
    service = replace(deployment.service, topics=(grown,))

    with pytest.raises(TopicDiffers, match=r"prm\.counters has 6 partitions instead of 7"):
        await prepared(deployment.admin_dsn, deployment.bootstrap, service, deployment.key_database)
