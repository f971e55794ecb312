"""What lies in the tables of a service under test."""

from typing import Any

import psycopg


def rows(dsn: str, query: str) -> list[Any]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(query.encode()).fetchall()


def parked(dsn: str) -> list[tuple[str, str, str]]:
    """(subscriber, kind, state) of what is parked, in the order of its parking."""
    return rows(dsn, "SELECT subscriber, kind, state FROM parking ORDER BY id")
