"""Facts folded thousands at once leave the rows that they leave one by one."""

from collections.abc import Iterator, Sequence
from typing import Any, LiteralString
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from chassis.consuming.records import Record
from chassis.consuming.subscribers import Subscriber
from chassis.rebuilding.folding import Folding, NotFoldable
from chassis.rebuilding.statements import prepare, taking_all
from chassis.rebuilding.trusted import Trusted
from chassis.rebuilding.waves import Batch, Read, Waves
from chassis.sql import Statement

TABLE = """
CREATE TABLE lines (line uuid PRIMARY KEY, version int NOT NULL, shared int, said jsonb NOT NULL,
    CHECK (shared >= 0))"""
NEW: LiteralString = (
    "INSERT INTO lines (line, version, said) VALUES (%(id)s, %(version)s, '[\"VALUES (\"]')"
    " ON CONFLICT DO NOTHING"
)
PLAIN: LiteralString = (
    "INSERT INTO lines (line, version, said) VALUES (%(id)s, %(version)s, %(said)s::jsonb)"
    " ON CONFLICT DO NOTHING"
)
SAID: LiteralString = (
    "UPDATE lines SET version = %(version)s, said = said || %(said)s::jsonb"
    " WHERE line = %(id)s AND version < %(version)s"
)
SET: LiteralString = (
    "INSERT INTO lines AS l VALUES (%(id)s, %(version)s, NULL, %(said)s::jsonb) ON CONFLICT (line)"
    " DO UPDATE SET version = excluded.version, said = l.said || excluded.said"
    " WHERE l.version < excluded.version"
)
GONE: LiteralString = "DELETE FROM lines WHERE line = %(id)s AND version < %(version)s"
SHARED: LiteralString = "UPDATE lines SET shared = coalesce(shared, 0) + 1 WHERE %(id)s <> line"
LOOKS: LiteralString = (
    "UPDATE lines SET shared = (SELECT count(*) FROM lines) + %(version)s WHERE line = %(id)s"
)
COUNTED: LiteralString = "UPDATE lines SET shared = coalesce(shared, 0) + 1 WHERE line = %(id)s"
REFUSED: LiteralString = "UPDATE lines SET shared = -1 WHERE line = %(id)s"
ROWS = "SELECT * FROM lines ORDER BY 1"


@pytest.fixture
def connection(fresh_database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(fresh_database, autocommit=True) as connection:
        connection.execute(TABLE)
        yield connection


def fact(of: int, version: int, text: LiteralString | None) -> Read:
    key = UUID(int=of)
    values = {"id": key, "version": version, "said": f'["{version}"]'}
    headers = {"ce_chain": f"{version:02x}".encode()}
    trusted = Trusted(Record("prm.lines", 0, version, b"", b"", ()), headers, str(key), version)
    return Read(trusted, None if text is None else Statement(text, values))


def folding(connection: psycopg.Connection[Any]) -> Folding:
    """Of empty tables."""
    connection.execute("TRUNCATE lines")
    connection.execute("DROP TABLE IF EXISTS pg_temp.seen")

    async def take(*_: Any) -> None:
        raise AssertionError

    subscriber = Subscriber("lines", frozenset(), frozenset(), take)
    return Folding(connection, subscriber, (), sql.Identifier("pg_temp", "seen"))


def rows_one_by_one(connection: psycopg.Connection[Any], facts: list[Read]) -> list[Any]:
    connection.execute("TRUNCATE lines")
    for each in facts:
        if isinstance(each.told, Statement):
            connection.execute(each.told.sql, each.told.values)
    return connection.execute(ROWS).fetchall()


@st.composite
def facts_of_some(draw: st.DrawFn) -> list[list[Read]]:
    """In batches; of each aggregate all versions in order, some of them twice."""
    texts = st.sampled_from([NEW, PLAIN, SAID, SET, GONE, COUNTED, None])
    batches, versions, told = list[list[Read]](), dict[int, int](), list[Read]()
    for size in draw(st.lists(st.integers(1, 25), max_size=3)):
        batch = list[Read]()
        for of in draw(st.lists(st.integers(0, 3), min_size=size, max_size=size)):
            versions[of] = versions.get(of, 0) + 1
            batch.append(fact(of, versions[of], draw(texts)))
            told.append(batch[-1])
            if draw(st.integers(0, 20)) == 0:
                batch.append(draw(st.sampled_from(told)))
        batches.append(batch)
    return batches


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(batches=facts_of_some())
def test_at_once_is_as_one_by_one(
    connection: psycopg.Connection[Any], batches: list[list[Read]]
) -> None:
    fold = folding(connection)

    for batch in batches:
        fold.apply(batch)

    seen = list[Read]()
    for each in [it for batch in batches for it in batch]:
        if each not in seen:
            seen.append(each)
    last = {each.fact.aggregate_id: each.fact.version for each in seen}
    found = connection.execute("SELECT aggregate_id::text, version FROM pg_temp.seen").fetchall()
    assert dict(found) == last
    assert connection.execute(ROWS).fetchall() == rows_one_by_one(connection, seen)


def batch_of(connection: psycopg.Connection[Any], facts: list[Read]) -> Batch:
    numbers = dict[str, Any]()

    def prepared(text: LiteralString) -> Any:
        if text not in numbers:
            numbers[text] = prepare(connection, len(numbers), text)
        return numbers[text]

    with connection.transaction():
        return Batch(facts, prepared, lambda _: False)


def test_what_is_plain_is_left_to_nobody(connection: psycopg.Connection[Any]) -> None:
    facts = [
        fact(of, n, text) for of in range(9) for n, text in enumerate((NEW, SAID, SET, GONE), 1)
    ]
    connection.execute(
        "CREATE TEMPORARY TABLE seen (aggregate_id uuid PRIMARY KEY, version int, chain bytea)"
    )
    waves = Waves(connection, sql.Identifier("pg_temp", "seen"))

    with connection.transaction():
        assert waves.take(batch_of(connection, facts[:-1])) == []

    left = connection.execute("SELECT line FROM lines").fetchall()
    assert left == [(UUID(int=8),)]


def test_rows_that_are_their_parameters_lie_there_already_when_the_others_come(
    connection: psycopg.Connection[Any],
) -> None:
    fold = folding(connection)
    facts = [fact(of, n, text) for of in range(3) for n, text in enumerate((PLAIN, SAID, GONE), 1)]

    batch = batch_of(connection, facts)
    fold.apply(facts[:-1])

    assert [len(rows) for rows in batch.copied.values()] == [3]
    assert connection.execute(ROWS).fetchall() == rows_one_by_one(connection, facts[:-1])


def test_rows_that_lie_there_refuse_one_batch_and_no_other(
    connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    fold = folding(connection)
    slowly = list[int]()
    take = Folding._take_one_by_one

    def counted(self: Folding, facts: Sequence[Read]) -> None:
        slowly.append(len(facts))
        take(self, facts)

    monkeypatch.setattr(Folding, "_take_one_by_one", counted)

    for version in (1, 2, 3):
        fold.apply([fact(of, version, PLAIN) for of in range(9)])

    assert slowly == [9]
    assert connection.execute("SELECT count(*) FROM lines").fetchall() == [(9,)]


@pytest.mark.parametrize(
    ("values", "into"),
    [
        ("%(id)s, %(version)s", "lines (line, shared)"),
        ("%(id)s, %(version)s::int", "lines (line, shared)"),
        ("%(id)s, %(version)s::smallint", None),
        ("%(id)s, %(version)s + 1", None),
        ("%(id)s, 7", None),
        ("%(id)s, coalesce(%(version)s, 1)", None),
    ],
)
def test_only_what_is_nothing_but_its_parameters_is_copied(
    connection: psycopg.Connection[Any], values: LiteralString, into: str | None
) -> None:
    text = f"INSERT INTO lines (line, shared) VALUES ({values})"

    with connection.transaction():
        assert prepare(connection, 1, text).into == into


def test_what_has_to_be_looked_at_takes_the_later_ones_of_its_aggregate_with_it(
    connection: psycopg.Connection[Any],
) -> None:
    told = [(1, 1, NEW), (2, 1, NEW), (1, 2, LOOKS), (3, 1, LOOKS), (3, 2, SET), (1, 3, SAID)]
    facts = [fact(*each) for each in told]

    batch = batch_of(connection, facts)

    assert batch.rest == facts[2:]
    fold = folding(connection)
    fold.apply(facts)
    assert connection.execute(ROWS).fetchall() == rows_one_by_one(connection, facts)


def test_two_facts_that_change_one_row_at_once_are_taken_one_by_one(
    connection: psycopg.Connection[Any],
) -> None:
    facts = [fact(of, 1, NEW) for of in (1, 2, 3)]
    fold = folding(connection)
    fold.apply(facts)

    fold.apply([fact(of, 2, SHARED) for of in (1, 2, 3)])

    assert connection.execute("SELECT shared FROM lines").fetchall() == [(2,)] * 3


def test_a_hole_is_found_wherever_it_is(connection: psycopg.Connection[Any]) -> None:
    fold = folding(connection)
    fold.apply([fact(1, 1, NEW), fact(2, 1, NEW)])

    with pytest.raises(NotFoldable, match=f"version 3 of {UUID(int=1)}: the versions from 2 on"):
        fold.apply([fact(2, 2, SAID), fact(1, 3, SAID)])


def test_one_that_fails_among_many_is_named(connection: psycopg.Connection[Any]) -> None:
    fold = folding(connection)
    fold.apply([fact(of, 1, NEW) for of in range(5)])

    with pytest.raises(NotFoldable, match=f"version 2 of {UUID(int=3)}: .*check constraint"):
        fold.apply([fact(of, 2, REFUSED if of == 3 else SAID) for of in range(5)])

    assert connection.execute("SELECT DISTINCT version FROM lines").fetchall() == [(1,)]


@pytest.mark.parametrize(
    "text",
    [
        "WITH x AS (VALUES (1)) INSERT INTO lines VALUES (told.p1)",
        "INSERT INTO lines SELECT told.p1",
        "UPDATE lines SET shared = told.p1",
        "INSERT INTO lines VALUES (told.p1, (select 1))",
        "CALL something(told.p1)",
    ],
)
def test_what_cannot_be_said_of_many_is_left_as_it_is(text: str) -> None:
    assert taking_all(text, "rows") is None
