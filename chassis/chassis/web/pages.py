"""Questions pass ready JSON documents through: one, as it is or as it was, or a page of a list."""

import json
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Generic, TypeVar

from fastapi import Query, Response
from pydantic import BaseModel, Field
from pydantic_core import to_json

from chassis.context import Actor
from chassis.errors import NotFound
from chassis.sql import Listing, Statement
from chassis.web.http import Ports
from chassis.web.instants import InstantAsked
from chassis.web.lists import PageAsked, Place, page
from chassis.web.streams import stream

JSON = "application/json"
LAST_VERSION = 2**31 - 1

T = TypeVar("T")


AsOf = Annotated[
    Annotated[int, Field(ge=1, le=LAST_VERSION)] | InstantAsked | None,
    Query(description="As it was: a version, or an instant by which it was recorded (RFC 3339)."),
]


class Listed(BaseModel, Generic[T]):
    """`next_cursor`: null on the last page."""

    items: list[T]
    next_cursor: str | None


async def one(
    ports: Ports,
    asker: Actor,
    query: Statement,
    missing: NotFound,
    *,
    opens: bool = False,
    as_of: int | datetime | None = None,
) -> Response:
    """The document that `query` finds, as columns `document` and `version`, with its ETag.

    `opens`: its personal fields, as text; null where the person was erased. Raises `missing`, of
    the aggregate asked for. `as_of`: as it was then, for who may see it today; the document comes
    from the read models that the route waits for.
    """
    found = await ports.questions.of(asker).unparsed(query)
    if found and as_of is not None:
        found = await ports.history.unparsed(asker, query, missing.id, as_of)
    if not found:
        raise missing
    [(document, version)] = found
    if opens:
        document = await ports.vault.open_document(document)
    return Response(document, headers={"ETag": f'"{version}"'}, media_type=JSON)


async def listed(
    ports: Ports, asker: Actor, asked: PageAsked, listing: Listing, *, opens: bool = False
) -> Response:
    """A page of the list, or the stream of its changes, if the client asks for events."""
    if asked.is_live:
        return await stream(ports, asker, asked, listing, opens=opens)
    question = _question(listing, asked)
    after = None
    if asked.cursor:
        after = Place(*json.loads(ports.tokens.after(asked.cursor, asker.tenant_id, question)))
    rows = await ports.questions.of(asker).unparsed(page(listing, asked, after))
    items = [row[0] for row in rows[: asked.limit]]
    cursor = None
    if len(rows) > asked.limit:
        last = json.dumps(rows[asked.limit - 1][1:3])
        cursor = ports.tokens.cursor(last, asker.tenant_id, question)
    body = b'{"items":[' + b",".join(items) + b'],"next_cursor":' + to_json(cursor) + b"}"
    if opens:
        body = await ports.vault.open_document(body)
    return Response(body, media_type=JSON)


def _question(listing: Listing, asked: PageAsked) -> Statement:
    """What a cursor belongs to: the list in its order, whatever page and members are shown."""
    return page(listing, replace(asked, limit=0, fields=None), None)
