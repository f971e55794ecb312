"""A listing becomes the statement of one page, or of what has changed: order, place, members."""

from dataclasses import dataclass
from typing import Annotated, Any, LiteralString

from fastapi import Depends, Header, Query
from pydantic import BaseModel

from chassis.sql import Listing, Statement
from chassis.web.openapi import EVENTS

LARGEST_PAGE = 200


@dataclass(frozen=True)
class PageAsked:
    """`sort`: a member of the documents, "-" before it for descending; None: the list's own order.

    `fields`: the members to be shown; None: all. `accept`, `last_event_id`: for who wants it live.
    """

    limit: int = 50
    cursor: str | None = None
    sort: str | None = None
    fields: tuple[str, ...] | None = None
    accept: str = ""
    last_event_id: str | None = None

    @property
    def is_live(self) -> bool:
        return EVENTS in self.accept


def page_of(view: type[BaseModel], *sorts: str) -> Any:
    """For the `page` of a list of `view`: it can be ordered by each of `sorts`, its members."""
    if unknown := set(sorts) - view.model_fields.keys():
        raise ValueError(f"{view.__name__} has no {', '.join(unknown)}")
    member = "|".join(view.model_fields)

    async def asked(  # noqa: PLR0917 - each is a parameter of the request, given by name
        limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 50,
        cursor: Annotated[str | None, Query(max_length=2000, description="next_cursor")] = None,
        sort: Annotated[
            str | None,
            Query(
                pattern=f"^-?({'|'.join(sorts)})$",
                description="A member to order by, descending with - before it.",
            ),
        ] = None,
        fields: Annotated[
            str | None,
            Query(
                pattern=f"^({member})(,({member}))*$",
                description="The members to be shown, with commas between them; else all.",
            ),
        ] = None,
        accept: Annotated[str, Header(include_in_schema=False)] = "",
        last_event_id: Annotated[
            str | None, Header(max_length=2000, description="Where a live list goes on.")
        ] = None,
    ) -> PageAsked:
        shown = None if fields is None else tuple(dict.fromkeys(fields.split(",")))
        return PageAsked(limit, cursor, sort, shown, accept, last_event_id)

    return Depends(asked)


@dataclass(frozen=True)
class Place:
    """Where a page ends: the row's `sort_key`, and as JSON the member that it is ordered by."""

    sort_key: str
    member: str | None = None


def page(listing: Listing, asked: PageAsked, after: Place | None) -> Statement:
    """Rows `document`, `sort_key`, `member`: one more than the page holds tells of another page.

    JSON compares numbers as numbers and texts as texts, so that one order serves every member.
    """
    ordered, member = "sort_key", "NULL"
    beyond = "sort_key > %(after_key)s::text"
    if asked.sort:
        name, is_descending = asked.sort.removeprefix("-"), asked.sort.startswith("-")
        member, way = f"(document -> '{name}')", "DESC" if is_descending else "ASC"
        ordered = f"{member} {way}, sort_key {way}"
        sign = "<" if is_descending else ">"
        beyond = f"({member}, sort_key) {sign} (%(after_member)s::jsonb, %(after_key)s::text)"
    rows: LiteralString = (
        f"SELECT {_shown(listing, asked)} AS document, sort_key, {member}::text AS member"  # noqa: S608 - all of it is written in code
        f" FROM {listing.table} WHERE ({listing.scope}) AND ({listing.where})"
        f"{f' AND {beyond}' if after else ''} ORDER BY {ordered} LIMIT %(limit)s"
    )
    place = {"after_key": after.sort_key, "after_member": after.member} if after else {}
    return Statement(rows, listing.values | place | _fields(asked) | {"limit": asked.limit + 1})


def changed(listing: Listing, asked: PageAsked) -> Statement:
    """Rows `document`, `aggregate_id`: of %(ids)s, what changed at version %(since)s or later.

    `document` is null where the filters leave a row out that the asker may see.
    """
    rows: LiteralString = (
        f"SELECT CASE WHEN {listing.where} THEN {_shown(listing, asked)} END AS document,"  # noqa: S608 - as above
        f" {listing.table}.{listing.aggregate_id} AS aggregate_id FROM {listing.table}"
        " JOIN unnest(%(ids)s::uuid[], %(since)s::int[]) AS moved (moved_id, since)"
        f" ON {listing.table}.{listing.aggregate_id} = moved_id AND version >= since"
        f" WHERE {listing.scope} ORDER BY version, sort_key"
    )
    return Statement(rows, listing.values | _fields(asked))


def _shown(listing: Listing, asked: PageAsked) -> LiteralString:
    if asked.fields is None:
        return listing.shows
    return (
        "(SELECT coalesce(jsonb_object_agg(key, value), '{}')"  # noqa: S608 - as above
        f" FROM jsonb_each({listing.shows}) WHERE key = ANY (%(fields)s::text[]))"
    )


def _fields(asked: PageAsked) -> dict[str, Any]:
    return {} if asked.fields is None else {"fields": list(asked.fields)}
