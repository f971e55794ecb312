"""Facts taken thousands at once: the first one of each aggregate, then the second of each, ..."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, LiteralString, NamedTuple

import psycopg
from psycopg import Connection, sql

from chassis.consuming.parking import Fate
from chassis.rebuilding.statements import Prepared
from chassis.rebuilding.trusted import Trusted
from chassis.sql import Statement

MOST = 8  # waves of a batch; what comes behind them is taken one by one

# A plan made while the tables were small would read all of them for each row.
TAKE: LiteralString = """
CREATE OR REPLACE FUNCTION pg_temp.take_all(statements text[], waves int[]) RETURNS int[]
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off
SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    changed int;
    all_changed int[] := '{}';
BEGIN
    FOR n IN 1 .. cardinality(statements) LOOP
        EXECUTE statements[n] USING waves[n];
        GET DIAGNOSTICS changed = ROW_COUNT;
        all_changed := all_changed || changed;
    END LOOP;
    RETURN all_changed;
END $$"""
MOVED: LiteralString = "aggregate_id uuid, before int, version int, chain bytea"
MOVE: LiteralString = """
UPDATE {} seen SET version = moved.version, chain = moved.chain FROM pg_temp.moved
WHERE seen.aggregate_id = moved.aggregate_id AND seen.version = moved.before"""


class Read(NamedTuple):
    """`told`: what the projection makes of it, if it is the next one of its aggregate."""

    fact: Trusted
    told: Statement | Fate | None


class OutOfTurn(Exception):
    """Not all of them are the next ones of their aggregates."""


class Waves:
    """Takes of a batch what needs no second look.

    Which fact of another aggregate comes first is left open, as it is by the live delivery.
    """

    def __init__(self, connection: Connection[Any], seen: sql.Identifier) -> None:
        self._connection, self._seen = connection, seen
        self._made: set[str] = set()
        self.copies = True
        connection.execute(TAKE)

    def forget(self) -> None:
        """After a rollback: what was made may be gone."""
        self._made.clear()

    def take(self, batch: "Batch") -> Sequence[Read]:
        """What is left to be taken one by one, in order; that is all of it if anything failed.
        In a transaction of the caller.
        """
        try:
            with self._connection.transaction():
                self._take(batch)
        except (OutOfTurn, psycopg.Error):
            if self._connection.closed:
                raise
            self.forget()
            self.copies = False  # a row that lies there already would refuse each batch
            return batch.facts
        return batch.rest

    def _take(self, batch: "Batch") -> None:
        begun, moved = batch.seen()
        self._copy(self._seen.as_string(), begun)  # its key refuses what comes a second time
        if moved:
            self._tell("moved", MOVED, moved)
        for into, rows in batch.copied.items():
            self._copy(into, rows)
        for prepared, rows in batch.told.values():
            self._tell(prepared.told, prepared.columns, rows)
        move = sql.SQL(MOVE).format(self._seen).as_string()
        steps = [(move, 0)] * bool(moved) + batch.steps()
        if not steps:
            return
        query = "SELECT pg_temp.take_all(%s::text[], %s::int[])"
        [(changed,)] = self._connection.execute(
            query, list(map(list, zip(*steps, strict=True)))
        ).fetchall()
        if moved and changed[0] != len(moved):
            raise OutOfTurn

    def _tell(self, table: str, columns: str, rows: Iterable[Sequence[Any]]) -> None:
        if table in self._made:
            self._connection.execute(f"TRUNCATE pg_temp.{table}".encode())
        else:
            self._connection.execute(f"DROP TABLE IF EXISTS pg_temp.{table}".encode())
            self._connection.execute(f"CREATE TEMPORARY TABLE {table} ({columns})".encode())
            self._made.add(table)
        self._copy(f"pg_temp.{table}", rows)

    def _copy(self, table: str, rows: Iterable[Sequence[Any]]) -> None:
        with (
            self._connection.cursor() as cursor,
            cursor.copy(f"COPY {table} FROM STDIN".encode()) as copy,
        ):
            for row in rows:
                copy.write_row(row)


class Batch:
    """Facts in waves. `rest`: of each aggregate what comes from the first one on that has to be
    looked at; `told`: by the number of a statement, its rows; `copied`: by table and columns, those
    that stand there as they are told.
    """

    def __init__(
        self,
        facts: Sequence[Read],
        prepared: Callable[[LiteralString], Prepared],
        is_parked: Callable[[Trusted], bool],
        *,
        copies: bool = True,
    ) -> None:
        self.facts, self.rest = facts, list[Read]()
        self.copied = dict[str, list[Sequence[Any]]]()
        self.told = dict[int, tuple[Prepared, list[Sequence[Any]]]]()
        self._last = dict[str, Trusted]()
        self._before = dict[str, int]()
        self._late = set[str]()
        self._waves = defaultdict[int, set[int]](set)
        self._prepared, self._copies = prepared, copies
        for each in facts:
            if each.fact.aggregate_id in self._late or is_parked(each.fact) or not self._add(each):
                self._late.add(each.fact.aggregate_id)
                self.rest.append(each)

    def _add(self, each: Read) -> bool:
        fact, told = each
        key, version = fact.aggregate_id, fact.version
        last = self._last.get(key)
        before = self._before[key] if last else version - 1
        wave = version - before
        if wave > MOST or isinstance(told, Fate) or (last and version != last.version + 1):
            return False
        if told is not None:
            prepared = self._prepared(told.sql)
            if prepared.all is None:
                return False
            if wave == 1 and prepared.into and self._copies:
                self.copied.setdefault(prepared.into, []).append(prepared.values(told))
            else:
                rows = self.told.setdefault(prepared.number, (prepared, []))[1]
                rows.append((wave, *prepared.values(told)))
                self._waves[wave].add(prepared.number)
        self._last[key], self._before[key] = fact, before
        return True

    def seen(self) -> tuple[list[Sequence[Any]], list[Sequence[Any]]]:
        """Of the aggregates that begin with this, and of those that go on: what was seen last."""
        begun, moved = list[Sequence[Any]](), list[Sequence[Any]]()
        for key, last in self._last.items():
            if before := self._before[key]:
                moved.append((key, before, last.version, last.chain_text))
            else:
                begun.append((key, last.version, last.chain_text))
        return begun, moved

    def steps(self) -> list[tuple[str, int]]:
        """The statements in order, each with its wave."""
        return [
            (str(self.told[number][0].all), wave)
            for wave, numbers in sorted(self._waves.items())
            for number in sorted(numbers)
        ]
