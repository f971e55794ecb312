"""SQL as data: what projections return and queries ask."""

from dataclasses import dataclass, field
from typing import Any, LiteralString, NamedTuple, Protocol, TypeVar

from pydantic import BaseModel

V = TypeVar("V", bound=BaseModel)


class Statement(NamedTuple):
    """psycopg style: `%(name)s` in `sql`, plain values in `values`."""

    sql: LiteralString
    values: dict[str, Any]


@dataclass(frozen=True)
class Listing:
    """A list as a question: which rows of a read model, and what is shown of each.

    `table` has the columns document, version and sort_key, a unique text that gives the order.
    `aggregate_id`: its column with the aggregate that `version` is of. `shows`: an expression.
    `scope`: the rows that its asker may see; `where`: the filters. Both over `values`.
    """

    table: LiteralString
    aggregate_id: LiteralString
    values: dict[str, Any] = field(default_factory=dict)
    shows: LiteralString = "document"
    scope: LiteralString = "true"
    where: LiteralString = "true"


class Database(Protocol):
    """The service's own database, to read."""

    async def rows(self, view: type[V], query: Statement) -> list[V]:
        """Each row as a view model, by column names."""
