"""Projections and queries run as they are, on a real database, without a worker."""

from collections.abc import Iterable
from typing import Any

import psycopg
from psycopg.rows import dict_row

from chassis.sql import Statement


def filled(dsn: str, statements: Iterable[Statement]) -> None:
    with psycopg.connect(dsn) as connection:
        for statement in statements:
            connection.execute(statement.sql, statement.values)


def answer(dsn: str, query: Statement, *, after: str | None = None, limit: int = 50) -> list[Any]:
    """The documents that the query finds; `after`, `limit`: as the page of a list."""
    with psycopg.connect(dsn, row_factory=dict_row) as connection:
        values = query.values | {"after": after, "limit": limit}
        return [row["document"] for row in connection.execute(query.sql, values)]
