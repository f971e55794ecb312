"""Facts of topics folded into tables: the same projections, thousands of facts a transaction."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, LiteralString

import psycopg
from psycopg import Connection, sql

from chassis.consuming.intake import handled
from chassis.consuming.parking import ALL, Fate
from chassis.consuming.records import Record
from chassis.consuming.subscribers import Subscriber
from chassis.delivery import Projection
from chassis.rebuilding.source import RebuildRefused
from chassis.rebuilding.statements import Prepared, prepare
from chassis.rebuilding.trusted import Trusted, trusted
from chassis.rebuilding.waves import Batch, Read, Waves
from chassis.sql import Statement

PARKED: LiteralString = """
SELECT topic, partition, "offset", state, kind FROM parking
WHERE subscriber IN (%s, %s) AND state <> 'released'"""
SEEN: LiteralString = (
    "SELECT aggregate_id::text, version FROM {} WHERE aggregate_id = ANY (%s::uuid[])"
)
STAGED: LiteralString = """
CREATE TEMPORARY TABLE staged (
    place int NOT NULL, aggregate_id uuid NOT NULL, version int NOT NULL, chain bytea NOT NULL,
    statement int{columns}
)"""
# A plan made while the tables were empty would read all of them for each fact.
FOLD: LiteralString = """
CREATE OR REPLACE FUNCTION pg_temp.fold_staged() RETURNS void LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off
AS {body}"""
BODY: LiteralString = """
DECLARE
    staged_row record;
BEGIN
    FOR staged_row IN SELECT * FROM pg_temp.staged WHERE statement IS NOT NULL ORDER BY place LOOP
        CASE staged_row.statement
{cases}        END CASE;
    END LOOP;
    INSERT INTO {seen} SELECT DISTINCT ON (aggregate_id) aggregate_id, version, chain
    FROM pg_temp.staged ORDER BY aggregate_id, version DESC
    ON CONFLICT (aggregate_id) DO UPDATE SET version = excluded.version, chain = excluded.chain;
EXCEPTION WHEN OTHERS THEN
    RAISE EXCEPTION '%', SQLERRM USING ERRCODE = 'PRM03', DETAIL = staged_row.place;
END"""
FIXED = 5  # columns of what is staged, before the parameters
FAILED = "PRM03"  # SQLSTATE; its detail is the place of the fact

NOT_PARKED = ("", "")

Offset = tuple[str, int, int]  # topic, partition, offset


class NotFoldable(RebuildRefused):
    """A fact does not fit, though the live delivery took it: see what the message names."""


class Redriven(RebuildRefused):
    """Facts that were parked when they had their turn here were taken meanwhile: begin again."""


class Folding:
    """Takes of each aggregate what the live subscriber has taken, in the same order, nothing else.

    `seen`: a table (aggregate_id, version, chain) that it makes. `left_out`: what it passed over
    because it is parked.
    """

    def __init__(
        self,
        connection: Connection[Any],
        subscriber: Subscriber,
        parts: Sequence[Projection],
        seen: sql.Identifier,
    ) -> None:
        self._connection, self._subscriber, self._seen_table = connection, subscriber, seen
        self._statement_of = {part.topic.name: part.statement for part in parts}
        self._prepared: dict[str, Prepared] = {}
        self._width, self._is_made = 0, False
        self._parked: Mapping[Offset, tuple[str, str]] = {}
        self.left_out: set[Offset] = set()
        self._skipped: Counter[str] = Counter()
        make = "CREATE TEMPORARY TABLE {} (aggregate_id uuid PRIMARY KEY, version int, chain bytea)"
        connection.execute(sql.SQL(make).format(seen))
        self._waves = Waves(connection, seen)

    def set_back(self, left_out: set[Offset]) -> None:
        """After a rollback of the caller's transaction: to what had been left out before it."""
        self.left_out, self._is_made = left_out, False
        self._waves.forget()

    def look_at_parked(self) -> None:
        """What the live subscriber has not taken of what it was given. Raises Redriven."""
        rows = self._connection.execute(PARKED, (self._subscriber.name, ALL)).fetchall()
        self._parked = {row[:3]: row[3:] for row in rows}
        waiting = {at for at, (state, _) in self._parked.items() if state in ("waiting", "dead")}
        if self.left_out - waiting:
            raise Redriven(f"{len(self.left_out - waiting)} facts")

    def read(self, records: Iterable[Record]) -> list[Read]:
        """Pure: it can be done while earlier ones are being applied."""
        facts = [_fact(it) for it in records if self._state_of(it)[1] != "untrustworthy"]
        return [Read(fact, self._told(fact)) for fact in facts]

    def _state_of(self, record: Record) -> tuple[str, str]:
        """State and kind, if it is parked."""
        return self._parked.get(record[:3], NOT_PARKED)

    def _told(self, fact: Trusted) -> Statement | Fate | None:
        recorded = handled(self._subscriber, fact, self._skipped)
        if recorded is None or isinstance(recorded, Fate):
            return recorded
        try:
            return self._statement_of[fact.record.topic](recorded)
        except Exception as fault:  # noqa: BLE001 - it matters only if the fact is to be taken
            return Fate("failed", f"{type(fault).__name__}: {fault}")

    def apply(self, facts: Sequence[Read]) -> None:
        """In one or two transactions, or in that of the caller; after a fault what they took stays
        taken, for the tables are of a rebuild that ends then. Raises NotFoldable, psycopg's errors.
        """
        batch = Batch(facts, self._prepared_of, self._is_parked, copies=self._waves.copies)
        if rest := self._waves.take(batch):
            with self._connection.transaction():
                self._take_one_by_one(rest)

    def _take_one_by_one(self, facts: Sequence[Read]) -> None:
        taken = list(self._next_ones(facts))
        rows = [self._row(place, each) for place, each in enumerate(taken)]
        self._stage(rows)
        try:
            self._connection.execute("SELECT pg_temp.fold_staged()")
        except psycopg.Error as fault:
            if fault.sqlstate != FAILED or not fault.diag.message_detail:
                raise
            failed = taken[int(fault.diag.message_detail)].fact
            raise _not_foldable(failed, str(fault.diag.message_primary)) from None

    def _is_parked(self, fact: Trusted) -> bool:
        return bool(self._parked) and self._state_of(fact.record) is not NOT_PARKED

    def _next_ones(self, facts: Sequence[Read]) -> Iterator[Read]:
        """Those that have effect: what the live subscriber took. It has looked at their chains."""
        seen = self._seen({each.fact.aggregate_id for each in facts})
        for each in facts:
            fact = each.fact
            state, kind = self._state_of(fact.record)
            before = seen.get(fact.aggregate_id, 0)
            if state in ("waiting", "dead"):
                self.left_out.add(fact.record[:3])
            elif state == "discarded":
                if kind != "forked":  # as the live delivery moves on behind it
                    seen[fact.aggregate_id] = fact.version
                    yield Read(fact, None)
            elif fact.version > before + 1:
                raise _not_foldable(fact, f"the versions from {before + 1} on never came")
            elif fact.version > before:
                if isinstance(each.told, Fate):
                    raise _not_foldable(fact, each.told.reason)
                seen[fact.aggregate_id] = fact.version
                yield each

    def _seen(self, ids: set[str]) -> dict[str, int]:
        query = sql.SQL(SEEN).format(self._seen_table)
        found = self._connection.execute(query, (list(ids),), prepare=True, binary=True)
        return dict(found.fetchall())

    def _row(self, place: int, each: Read) -> list[Any]:
        fact, told = each
        row = [place, fact.aggregate_id, fact.version, fact.chain_text]
        if not isinstance(told, Statement):
            return [*row, None]
        prepared = self._prepared_of(told.sql)
        return [*row, prepared.number, *prepared.values(told)]

    def _stage(self, rows: Sequence[list[Any]]) -> None:
        if not self._is_made:
            self._make()
        width = FIXED + self._width
        with self._connection.cursor() as cursor:
            cursor.execute("TRUNCATE pg_temp.staged")
            with cursor.copy("COPY pg_temp.staged FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row + [None] * (width - len(row)))

    def _prepared_of(self, text: LiteralString) -> Prepared:
        """Its parameters as columns of what is staged, of the types that PostgreSQL finds out."""
        found = self._prepared.get(text)
        if found is None:
            found = prepare(self._connection, len(self._prepared) + 1, text)
            self._prepared[text] = found
            self._width = max(self._width, len(found.names))
            self._is_made = False
        return found

    def _make(self) -> None:
        """What is staged, and the function that takes it, for the texts that are known now."""
        columns = "".join(f", p{number} text" for number in range(1, self._width + 1))
        cases = "".join(f"WHEN {it.number} THEN {it.one};\n" for it in self._prepared.values())
        body = BODY.format(
            cases=cases or "WHEN 0 THEN NULL;\n", seen=self._seen_table.as_string(self._connection)
        )
        self._connection.execute("DROP TABLE IF EXISTS pg_temp.staged")
        self._connection.execute(STAGED.format(columns=columns).encode())
        self._connection.execute(sql.SQL(FOLD).format(body=sql.Literal(body)))
        self._is_made = True


def place_of(record: Record) -> str:
    return "{}/{}/{}".format(*record[:3])


def _fact(record: Record) -> Trusted:
    try:
        return trusted(record)
    except (KeyError, ValueError) as malformed:
        raise NotFoldable(f"{place_of(record)} is no fact: {malformed!r}") from malformed


def _not_foldable(fact: Trusted, reason: str) -> NotFoldable:
    which = f"version {fact.version} of {fact.aggregate_id}"
    return NotFoldable(f"{place_of(fact.record)}, {which}: {reason}")
