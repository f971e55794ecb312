"""A second version of tables beside those in use: made alike, compared, put in their place."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, LiteralString, NamedTuple

from psycopg import Connection, sql

from chassis.rebuilding.source import RebuildRefused

SHOWN = 20  # rows that differ, of each table

# What a table made alike would lack, or what holds on to the one in use: it cannot be replaced.
TIED: LiteralString = """
SELECT pg_describe_object(classid, objid, objsubid) FROM pg_depend
WHERE refclassid = 'pg_class'::regclass AND refobjid = %(table)s::regclass AND deptype = 'n'
    AND objid NOT IN (SELECT oid FROM pg_policy WHERE polrelid = refobjid
        UNION SELECT oid FROM pg_attrdef WHERE adrelid = refobjid
        UNION SELECT oid FROM pg_constraint WHERE conrelid = refobjid
        UNION SELECT indexrelid FROM pg_index WHERE indrelid = refobjid)
UNION SELECT pg_describe_object('pg_trigger'::regclass, oid, 0) FROM pg_trigger
WHERE tgrelid = %(table)s::regclass AND NOT tgisinternal
UNION SELECT pg_describe_object('pg_constraint'::regclass, oid, 0) FROM pg_constraint
WHERE conrelid = %(table)s::regclass AND contype = 'f'
UNION SELECT 'privileges on column ' || attname FROM pg_attribute
WHERE attrelid = %(table)s::regclass AND attacl IS NOT NULL"""

# Those that statements rely on stand from the start; the others are made when all rows are there.
CONSTRAINTS: LiteralString = """
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE conrelid = %s::regclass AND contype IN ('p', 'u', 'x') ORDER BY conname"""
INDEXES: LiteralString = """
SELECT replace(pg_get_indexdef(indexrelid), format(' ON public.%%I ', %(table)s::text),
    format(' ON %%I.%%I ', %(schema)s::text, %(table)s::text))
FROM pg_index
WHERE indrelid = format('public.%%I', %(table)s::text)::regclass AND indisunique = %(unique)s
    AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype <> 'f')
ORDER BY indexrelid"""
POLICIES: LiteralString = """
SELECT policyname, permissive, cmd, roles, qual, with_check FROM pg_policies
WHERE schemaname = 'public' AND tablename = %s ORDER BY policyname"""
WALLS: LiteralString = (
    "SELECT relrowsecurity, relforcerowsecurity, coalesce(reloptions, '{}') FROM pg_class"
    " WHERE oid = %s::regclass"
)
GRANTS: LiteralString = """
SELECT privilege_type, CASE WHEN grantee = 0 THEN NULL ELSE grantee::regrole::text END,
    is_grantable
FROM pg_class, aclexplode(relacl) WHERE pg_class.oid = %s::regclass AND grantee <> relowner"""
KEY: LiteralString = """
SELECT attname FROM pg_index
JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)
WHERE indrelid = %s::regclass AND indisprimary ORDER BY attnum"""


class Tied(RebuildRefused):
    """A read model whose table has triggers, foreign keys, privileges on columns, or on which other
    objects depend, cannot be replaced: take them away first.
    """


class Difference(NamedTuple):
    """One row, as JSON of its columns: of the table in use, and of the one beside it."""

    live: dict[str, Any] | None
    folded: dict[str, Any] | None

    def columns(self) -> list[str]:
        """Those that differ; none where one of the rows is missing."""
        if self.live is None or self.folded is None:
            return []
        return [name for name, value in self.live.items() if self.folded[name] != value]

    def line(self, key: Sequence[str]) -> str:
        row = self.live or self.folded or {}
        named = ", ".join(f"{name} {row[name]}" for name in key or row)
        if self.live is None:
            return f"  missing: {named}"
        if self.folded is None:
            return f"  too many: {named}"
        return f"  changed: {named}: {', '.join(self.columns())}"


@dataclass(frozen=True)
class Compared:
    """A table in use and the one beside it. `rows` and `checksum`: (live, folded), over all columns
    whatever the order; `changed`, `missing`, `surplus`: rows of the live one; `shown`: the first
    of them; `key`: the columns that name a row.
    """

    table: str
    rows: tuple[int, int]
    checksum: tuple[int, int]
    changed: int = 0
    missing: int = 0
    surplus: int = 0
    key: tuple[str, ...] = ()
    shown: tuple[Difference, ...] = ()

    @property
    def is_equal(self) -> bool:
        return self.rows[0] == self.rows[1] and self.checksum[0] == self.checksum[1]

    def lines(self) -> Iterator[str]:
        """For people."""
        live, folded = self.rows
        if self.is_equal:
            yield f"{self.table}: {live:,} rows, checksum {self.checksum[0]}, equal to the log's"
            return
        yield (
            f"{self.table}: {live:,} rows, {folded:,} by its log: {self.changed:,} are changed,"
            f" {self.missing:,} are missing, {self.surplus:,} too many"
        )
        yield from (each.line(self.key) for each in self.shown)


class Shadow:
    """`tables` of the schema public, a second time in a schema of its own.

    On a connection of their owner in autocommit mode, whose search_path it changes: unqualified
    names mean the tables beside. All methods raise psycopg's errors.
    """

    def __init__(self, connection: Connection[Any], schema: str, tables: Sequence[str]) -> None:
        self._connection, self.schema, self.tables = connection, schema, tuple(tables)

    def make(self) -> None:
        """Empty, with what statements rely on; whatever was left there is gone. Raises Tied."""
        self.drop()
        with self._connection.transaction():
            self._run("CREATE SCHEMA {}", sql.Identifier(self.schema))
            for table in self.tables:
                self._make(table)
        self._run("SET search_path = {}, public", sql.Identifier(self.schema))

    def drop(self) -> None:
        self._connection.execute("SET search_path = public")
        # What the notice of a cascade says is what was asked for.
        self._connection.execute("SET client_min_messages = warning")
        self._run("DROP SCHEMA IF EXISTS {} CASCADE", sql.Identifier(self.schema))

    def _make(self, table: str) -> None:
        tied = self._connection.execute(TIED, {"table": f"public.{table}"}).fetchall()
        if tied:
            raise Tied(f"{table}: {', '.join(row[0] for row in tied)}")
        beside, live = self._beside(table), self._live(table)
        self._run("CREATE TABLE {} (LIKE {} INCLUDING ALL EXCLUDING INDEXES)", beside, live)
        for name, definition in self._rows(CONSTRAINTS, table):
            add = "ALTER TABLE {} ADD CONSTRAINT {} {}"
            self._run(add, beside, sql.Identifier(name), sql.SQL(definition))
        self._index(table, unique=True)

    def finish(self) -> None:
        """Once it holds most of its rows: indexes, statistics."""
        for table in self.tables:
            self._index(table, unique=False)
            self._run("VACUUM (ANALYZE) {}", self._beside(table))

    def _index(self, table: str, *, unique: bool) -> None:
        """Under the names that they have: those are of the schema too."""
        values = {"table": table, "schema": self.schema, "unique": unique}
        for (definition,) in self._connection.execute(INDEXES, values).fetchall():
            self._connection.execute(definition.encode())

    def compare(self) -> list[Compared]:
        """All in one statement each: let the transaction say what both are seen as of."""
        return [self._compared(table) for table in self.tables]

    def _compared(self, table: str) -> Compared:
        sums = "SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)::numeric FROM {} t"
        (live, first), (folded, second) = (
            self._connection.execute(sql.SQL(sums).format(it)).fetchall()[0]
            for it in (self._live(table), self._beside(table))
        )
        found = Compared(table, (live, folded), (int(first), int(second)))
        return found if found.is_equal else self._told_apart(found)

    def _told_apart(self, found: Compared) -> Compared:
        """By its primary key, or by all of a row where there is none."""
        key = tuple(row[0] for row in self._rows(KEY, found.table))
        apart = sql.SQL(
            "SELECT l.whole IS NULL AS is_missing, f.whole IS NULL AS is_surplus,"
            " to_jsonb(l) - 'whole' AS live, to_jsonb(f) - 'whole' AS folded"
            " FROM (SELECT *, t::text AS whole FROM {live} t) l"
            " FULL JOIN (SELECT *, t::text AS whole FROM {beside} t) f USING ({key})"
            " WHERE l.whole IS DISTINCT FROM f.whole"
        ).format(
            live=self._live(found.table),
            beside=self._beside(found.table),
            key=sql.SQL(", ").join(map(sql.Identifier, key or ("whole",))),
        )
        counts = "SELECT is_missing, is_surplus, count(*) FROM ({}) apart GROUP BY 1, 2"
        numbers = {row[:2]: row[2] for row in self._select(counts, apart)}
        some = self._select(
            "SELECT live, folded FROM ({}) apart LIMIT {}", apart, sql.Literal(SHOWN)
        )
        return replace(
            found,
            changed=numbers.get((False, False), 0),
            missing=numbers.get((True, False), 0),
            surplus=numbers.get((False, True), 0),
            key=key,
            shown=tuple(Difference(*row) for row in some),
        )

    def put_in_place(self, comment: str) -> None:
        """Inside of a transaction, which ends with the tables of before gone. Raises psycopg's
        LockNotAvailable if somebody holds on to one of them for longer than the lock_timeout.
        """
        for table in self.tables:
            live, beside = self._live(table), self._beside(table)
            self._run("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", live)
            for statement in list(self._rights(table)):
                self._connection.execute(statement)
            self._run("DROP TABLE {}", live)
            self._run("ALTER TABLE {} SET SCHEMA public", beside)
            self._run("COMMENT ON TABLE {} IS {}", live, sql.Literal(comment))

    def _rights(self, table: str) -> Iterator[sql.Composed]:
        """Who may do what with which rows, and how it is stored."""
        beside = self._beside(table)
        [(is_walled, is_forced, options)] = self._rows(WALLS, table)
        if options:
            given = sql.SQL(", ").join(map(sql.SQL, options))
            yield sql.SQL("ALTER TABLE {} SET ({})").format(beside, given)
        if is_walled:
            yield sql.SQL("ALTER TABLE {} ENABLE ROW LEVEL SECURITY").format(beside)
        if is_forced:
            yield sql.SQL("ALTER TABLE {} FORCE ROW LEVEL SECURITY").format(beside)
        for name, permissive, command, roles, using, check in self._connection.execute(
            POLICIES, (table,)
        ).fetchall():
            yield sql.SQL("CREATE POLICY {} ON {} AS {} FOR {} TO {}{}{}").format(
                sql.Identifier(name),
                beside,
                sql.SQL(permissive),
                sql.SQL(command),
                sql.SQL(", ").join(map(_role, roles)),
                sql.SQL(f" USING ({using})" if using else ""),
                sql.SQL(f" WITH CHECK ({check})" if check else ""),
            )
        for privilege, grantee, may_grant in self._rows(GRANTS, table):
            yield sql.SQL("GRANT {} ON {} TO {}{}").format(
                sql.SQL(privilege),
                beside,
                sql.SQL(grantee or "PUBLIC"),  # quoted by the server
                sql.SQL(" WITH GRANT OPTION" if may_grant else ""),
            )

    def _live(self, table: str) -> sql.Identifier:
        return sql.Identifier("public", table)

    def _beside(self, table: str) -> sql.Identifier:
        return sql.Identifier(self.schema, table)

    def _rows(self, query: LiteralString, table: str) -> list[tuple[Any, ...]]:
        """About the table in use."""
        return self._connection.execute(query, (f"public.{table}",)).fetchall()

    def _select(self, query: LiteralString, *parts: sql.Composable) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql.SQL(query).format(*parts)).fetchall()

    def _run(self, statement: LiteralString, *parts: sql.Composable) -> None:
        self._connection.execute(sql.SQL(statement).format(*parts))


def _role(name: str) -> sql.Composable:
    return sql.SQL("PUBLIC") if name == "public" else sql.Identifier(name)
