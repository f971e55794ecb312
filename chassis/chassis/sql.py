"""SQL as data: what projections return and queries ask."""

from typing import Any, LiteralString, NamedTuple, Protocol, TypeVar

from pydantic import BaseModel

V = TypeVar("V", bound=BaseModel)


class Statement(NamedTuple):
    """psycopg style: `%(name)s` in `sql`, plain values in `values`."""

    sql: LiteralString
    values: dict[str, Any]


class Database(Protocol):
    """The service's own database, to read."""

    async def rows(self, view: type[V], query: Statement) -> list[V]:
        """Each row as a view model, by column names."""
