"""Lists as they change: server-sent events that follow the store's order and lose nothing."""

import time
from collections.abc import AsyncIterator
from uuid import UUID

from fastapi import Response
from fastapi.responses import StreamingResponse
from pydantic_core import to_json

from chassis.context import Actor
from chassis.errors import Refusal, Unavailable
from chassis.sql import Listing, Statement
from chassis.web.http import Ports
from chassis.web.lists import PageAsked, changed
from chassis.web.live import Moved
from chassis.web.openapi import EVENTS

MOST_STREAMS = 200  # of one process
SAYS_SOMETHING_EVERY = 10.0  # seconds: proxies end what is silent
LASTS = 900.0  # seconds; then the client comes back, with a token that is valid still
AT_ONCE = 1000  # positions of the store taken in one step


class TooManyStreams(Unavailable):
    """This process has as many live lists as it can keep up with: ask again in a while."""

    retry_after = 10


class ListIsNotLive(Refusal):
    """This list has no changes of its own to follow: ask for it as JSON."""

    status = 406


async def stream(
    ports: Ports, asker: Actor, asked: PageAsked, listing: Listing, *, opens: bool
) -> Response:
    """Events `changed` (a document) and `left` (its aggregate's id: the filters leave it out now).

    The first event's id is the place from which the stream tells all changes: a client reads the
    list after it, and takes every event as the newer truth. One document may come twice.
    """
    live = ports.live
    if not live.follows(listing.table):
        raise ListIsNotLive
    if live.streams >= MOST_STREAMS:
        raise TooManyStreams
    question = changed(listing, asked)
    if asked.last_event_id:
        place = int(ports.tokens.after(asked.last_event_id, asker.tenant_id, question))
    else:
        place = await live.head()
    told = Told(ports, asker, listing.table, question, opens=opens, place=place)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(told.events(), media_type=EVENTS, headers=headers)


class Told:
    """One client's stream. `place`: the position up to which the store has been looked at."""

    def __init__(
        self,
        ports: Ports,
        asker: Actor,
        read_model: str,
        question: Statement,
        *,
        opens: bool,
        place: int,
    ) -> None:
        self._ports, self._asker, self._read_model = ports, asker, read_model
        self._question, self._opens, self._place = question, opens, place
        self._known: dict[UUID, Moved] = {}

    async def events(self) -> AsyncIterator[bytes]:
        live = self._ports.live
        live.streams += 1
        try:
            ends = time.monotonic() + LASTS
            yield self._here()
            spoken = time.monotonic()
            while time.monotonic() < ends and await live.pause():
                try:
                    found = [event async for event in self._news()]
                except Refusal:  # the database is away: what moved meanwhile is told later
                    continue
                for event in found:
                    yield event
                if found or time.monotonic() - spoken > SAYS_SOMETHING_EVERY:
                    yield self._here()
                    spoken = time.monotonic()
        finally:
            live.streams -= 1

    async def _news(self) -> AsyncIterator[bytes]:
        live = self._ports.live
        until = min(await live.head(), self._place + AT_ONCE)
        if until > self._place:
            await live.moved(self._read_model, self._place, until, self._known)
            self._place = until
        ready = await live.projected(self._read_model, self._known)
        if not ready:
            return
        since = [self._known[each].since for each in ready]
        rows = await self._ports.questions.of(self._asker).unparsed(
            Statement(self._question.sql, self._question.values | {"ids": ready, "since": since})
        )
        for each in ready:
            del self._known[each]
        for document, aggregate_id in rows:
            if document is None:
                yield event("left", to_json({"id": str(aggregate_id)}))
            else:
                yield event("changed", await self._open(document))

    async def _open(self, document: bytes) -> bytes:
        return await self._ports.vault.open_document(document) if self._opens else document

    def _here(self) -> bytes:
        """An id alone dispatches nothing: it moves the client's Last-Event-ID."""
        first = min((each.position for each in self._known.values()), default=self._place + 1)
        text = str(first - 1)
        here = self._ports.tokens.cursor(text, self._asker.tenant_id, self._question)
        return f"id: {here}\n\n".encode()


def event(kind: str, data: bytes) -> bytes:
    """JSON of PostgreSQL and of pydantic has no line ends."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)
