"""Projections and queries run as they are, on a real database, without a worker."""

from collections.abc import Iterable
from typing import Any

import psycopg
from psycopg.rows import dict_row

from chassis.sql import Listing, Statement
from chassis.web.lists import PageAsked, page


def filled(dsn: str, statements: Iterable[Statement]) -> None:
    with psycopg.connect(dsn) as connection:
        for statement in statements:
            connection.execute(statement.sql, statement.values)


def answer(dsn: str, query: Statement | Listing) -> list[Any]:
    """The documents that the query finds, or the first page of the list."""
    asked = page(query, PageAsked(), None) if isinstance(query, Listing) else query
    with psycopg.connect(dsn, row_factory=dict_row) as connection:
        return [row["document"] for row in connection.execute(asked.sql, asked.values)]
