"""Row-level security: what a question sees when its own scoping is gone."""

from collections.abc import AsyncIterator
from uuid import UUID

import psycopg
import pytest

from chassis.context import Actor
from chassis.sql import Statement
from chassis.storage.questions import Questions

from .sampled import environment, prepared

ALPHA, BOREALIS = UUID(int=1), UUID(int=2)
SELLER = Actor(UUID(int=7), ALPHA)
VENDOR = Actor(UUID(int=8))
EVERYTHING = Statement("SELECT partner_id FROM counter_list ORDER BY sort_key", {})


@pytest.fixture
async def questions(fresh_database: str) -> AsyncIterator[Questions]:
    """One counter of Alpha, one of Borealis; a single connection, which all askers share."""
    prepared(fresh_database)
    with psycopg.connect(fresh_database) as owner:
        for number, partner in enumerate((ALPHA, BOREALIS)):
            values = (UUID(int=100 + number), partner, str(number), "{}")
            owner.execute("INSERT INTO counter_list VALUES (%s, %s, %s, %s::jsonb, 1)", values)
    questions = Questions(environment(fresh_database)["PRM_QUESTIONS_DSN"], 1)
    await questions.open()
    yield questions
    await questions.close()


async def test_without_any_scoping_a_partner_sees_its_own_rows_only(questions: Questions) -> None:
    assert await questions.of(SELLER).unparsed(EVERYTHING) == [(ALPHA,)]
    assert await questions.of(VENDOR).unparsed(EVERYTHING) == [(ALPHA,), (BOREALIS,)]


async def test_who_does_not_say_who_asks_sees_nothing(questions: Questions) -> None:
    await questions.of(VENDOR).unparsed(EVERYTHING)

    assert await questions.fetch(EVERYTHING.sql, ()) == []


async def test_a_question_cannot_become_anothers_on_the_same_connection(
    questions: Questions,
) -> None:
    with pytest.raises(psycopg.DataError):
        await questions.of(VENDOR).unparsed(Statement("SELECT 1 / 0", {}))

    assert await questions.of(SELLER).unparsed(EVERYTHING) == [(ALPHA,)]


@pytest.mark.parametrize(
    "forbidden",
    [
        "SELECT count(*) FROM events",
        "SELECT count(*) FROM parking",
        "SELECT count(*) FROM snapshots",
        "UPDATE counter_list SET version = 2",
        "DELETE FROM counter_list",
        "ALTER TABLE counter_list DISABLE ROW LEVEL SECURITY",
        "DROP POLICY own ON counter_list",
    ],
)
async def test_the_reader_reaches_nothing_but_the_tables_of_questions(
    questions: Questions, forbidden: str
) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await questions.of(VENDOR).unparsed(Statement(forbidden, {}))


async def test_the_reader_can_neither_bypass_the_wall_nor_become_somebody_else(
    questions: Questions,
) -> None:
    role = "SELECT rolsuper, rolbypassrls, rolcreaterole FROM pg_roles WHERE rolname = current_user"

    assert await questions.fetch(role, ()) == [(False, False, False)]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await questions.fetch("SET ROLE postgres", ())
