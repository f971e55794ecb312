"""Questions pass ready JSON documents through: one, or a page of a list."""

from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Query, Response
from pydantic import BaseModel
from pydantic_core import to_json

from chassis.context import Actor
from chassis.errors import NotFound
from chassis.sql import Statement
from chassis.web.http import Ports

LARGEST_PAGE = 200
JSON = "application/json"

T = TypeVar("T")


@dataclass(frozen=True)
class PageAsked:
    limit: int
    cursor: str | None


async def _page(
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 50,
    cursor: Annotated[str | None, Query(max_length=2000, description="next_cursor")] = None,
) -> PageAsked:
    return PageAsked(limit, cursor)


Page = Annotated[PageAsked, Depends(_page)]


class Listed(BaseModel, Generic[T]):
    """`next_cursor`: null on the last page."""

    items: list[T]
    next_cursor: str | None


async def one(ports: Ports, query: Statement, missing: NotFound, opens: bool = False) -> Response:
    """The document that `query` finds, as columns `document` and `version`, with its ETag.

    `opens`: its personal fields, as text; null where the person was erased. Raises `missing`.
    """
    found = await ports.database.unparsed(query)
    if not found:
        raise missing
    [(document, version)] = found
    if opens:
        document = await ports.vault.open_document(document)
    return Response(document, headers={"ETag": f'"{version}"'}, media_type=JSON)


async def listed(
    ports: Ports, asker: Actor, page: PageAsked, query: Statement, opens: bool = False
) -> Response:
    """A page of the rows `document`, `sort_key` of `query`, which takes `after` and `limit`.

    One row more than the page holds is asked for: it tells whether there is another page.
    """
    after = page.cursor and ports.tokens.after(page.cursor, asker.tenant_id, query)
    asked = {"after": after, "limit": page.limit + 1}
    rows = await ports.database.unparsed(Statement(query.sql, query.values | asked))
    items = [row[0] for row in rows[: page.limit]]
    cursor = None
    if len(rows) > page.limit:
        cursor = ports.tokens.cursor(rows[page.limit - 1][1], asker.tenant_id, query)
    body = b'{"items":[' + b",".join(items) + b'],"next_cursor":' + to_json(cursor) + b"}"
    if opens:
        body = await ports.vault.open_document(body)
    return Response(body, media_type=JSON)
