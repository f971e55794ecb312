"""The statements of projections, as the server takes them of rows that lie there already."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import Connection

from chassis.sql import Statement

PARAMETER = re.compile(r"%\((\w+)\)s")
# What a statement consists of: neither within quotes nor within parentheses.
TOKEN = re.compile(
    r"""'(?:[^']|'')*'|"[^"]*"|[()]"""
    r"|\b(?:INSERT INTO|UPDATE|DELETE FROM|VALUES|ON CONFLICT|SET|WHERE)\b"
)
# An insert of its parameters and nothing else.
PLAIN = re.compile(r"INSERT INTO (\w+ \([\w, ]+\))\s+VALUES \((.+)\)(?:\s+ON CONFLICT DO NOTHING)?")
GIVEN = re.compile(r"\s*%\((\w+)\)s(?:::\w+)?\s*")
READS = re.compile(r"\bSELECT\b", re.IGNORECASE)
TYPES: LiteralString = (
    "SELECT parameter_types::text[] FROM pg_prepared_statements WHERE name = 'told'"
)


@dataclass(frozen=True)
class Prepared:
    """One text of SQL among those of the projections. `number`: in the order that they came;
    `columns`: those of a table `told` of what it is told; `one`: it, over the texts of a
    `staged_row`; `all`: it, for all rows of that table of the wave $1, if that can be said; `into`:
    the table and columns of a row that is nothing but its parameters.
    """

    number: int
    names: tuple[str, ...]
    columns: str
    one: str
    all: str | None
    into: str | None = None

    @property
    def told(self) -> str:
        return _told(self.number)

    def values(self, told: Statement) -> list[Any]:
        values = told.values
        return [values[name] for name in self.names]


def _told(number: int) -> str:
    return f"told_{number}"


def prepare(connection: Connection[Any], number: int, text: str) -> Prepared:
    """Within a transaction that is open. Raises psycopg's errors."""
    names = tuple(dict.fromkeys(PARAMETER.findall(text)))
    types = _types(connection, _with(text, names, [f"${n}" for n, _ in enumerate(names, 1)]))
    typed = list(enumerate(types, 1))
    one = _with(text, names, [f"staged_row.p{n}::{type_}" for n, type_ in typed])
    over_rows = _with(text, names, [f"told.p{n}" for n, _ in typed])
    none = ", ".join(["1 AS in_wave", *(f"NULL::{type_} AS p{n}" for n, type_ in typed)])
    wave = f"(SELECT * FROM pg_temp.{_told(number)} WHERE in_wave = $1) told"  # noqa: S608 - a number
    all_ = taking_all(over_rows, wave)
    if all_ and not _is_valid(connection, str(taking_all(over_rows, f"(SELECT {none}) told"))):
        all_ = None
    columns = ", ".join(["in_wave int", *(f"p{n} {type_}" for n, type_ in typed)])
    return Prepared(number, names, columns, one, all_, _into(connection, text, names, types))


def _into(
    connection: Connection[Any], text: str, names: Sequence[str], types: Sequence[str]
) -> str | None:
    plain = PLAIN.fullmatch(text)
    if plain is None:
        return None
    given = [GIVEN.fullmatch(each) for each in plain[2].split(",")]
    if [each and each[1] for each in given] != [*names]:
        return None
    bare = ", ".join(f"${n}" for n, _ in enumerate(names, 1))
    of_columns = _types(connection, f"INSERT INTO {plain[1]} VALUES ({bare})")  # noqa: S608 - its own parts
    return plain[1] if of_columns == types else None  # a cast to another type may change a value


def _with(text: str, names: Sequence[str], values: Sequence[str]) -> str:
    value_of = dict(zip(names, values, strict=True))
    return PARAMETER.sub(lambda found: value_of[found[1]], text).replace("%%", "%")


def _types(connection: Connection[Any], text: str) -> list[str]:
    connection.execute(f"PREPARE told AS {text}".encode())
    [(types,)] = connection.execute(TYPES).fetchall()
    connection.execute("DEALLOCATE told")
    return list(types)


def _is_valid(connection: Connection[Any], text: str) -> bool:
    try:
        with connection.transaction():
            _types(connection, text)
    except psycopg.errors.ProgrammingError:
        return False
    return True


def taking_all(text: str, rows: str) -> str | None:
    """As if `text` had been run for each of `rows` in some order, where it speaks of columns of
    `told`; the server refuses what would change one row twice. None: that cannot be said.
    """
    if READS.search(text):  # it would not see what the rows before have changed
        return None
    if parts := _cut(text, "INSERT INTO", "VALUES"):
        table, values = parts
        given, *otherwise = _cut(f"VALUES {values}", "VALUES", "ON CONFLICT") or [values]
        conflict = "".join(f" ON CONFLICT {each}" for each in otherwise)
        return f"INSERT INTO {table} SELECT {given.strip()[1:-1]} FROM {rows}{conflict}"  # noqa: S608 - its own parts
    if parts := _cut(text, "UPDATE", "SET", "WHERE"):
        table, values, which = parts
        return f"MERGE INTO {table} USING {rows} ON {which} WHEN MATCHED THEN UPDATE SET {values}"
    if parts := _cut(text, "DELETE FROM", "WHERE"):
        table, which = parts
        return f"DELETE FROM {table} USING {rows} WHERE {which}"  # noqa: S608 - its own parts
    return None


def _cut(text: str, first: str, *words: str) -> list[str] | None:
    """What comes behind each of the words, if it begins with the first one."""
    parts, depth, start, wanted = list[str](), 0, 0, [first, *words]
    for token in TOKEN.finditer(text):
        depth += {"(": 1, ")": -1}.get(token[0], 0)
        if wanted and depth == 0 and token[0] == wanted[0]:
            parts.append(text[start : token.start()])
            start = token.end()
            wanted.pop(0)
    if wanted or parts[0].strip():
        return None
    return [*parts[1:], text[start:]]
