"""Lists as they change: nothing is lost between two connections, nothing of others is told."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, LiteralString
from uuid import UUID

import pytest
from fastapi import Response
from fastapi.responses import StreamingResponse

from chassis.context import Actor
from chassis.sql import Listing
from chassis.web.lists import PageAsked
from chassis.web.live import HEAD
from chassis.web.positions import CursorUnreadable
from chassis.web.streams import stream

from .sampled import Sample, prepared, projected, served, token

ALPHA, BOREALIS = UUID(int=1), UUID(int=2)
SELLER, RIVAL = Actor(UUID(int=7), ALPHA), Actor(UUID(int=8), BOREALIS)
OF_ALPHA = token("partner-seller", partner_id=ALPHA)
COUNTERS = Listing(
    table="counter_list",
    aggregate_id="counter_id",
    scope="partner_id = %(tenant_id)s",
    where="(document -> 'count')::int < 5",
    values={"tenant_id": ALPHA},
)


@pytest.fixture
async def sample(fresh_database: str) -> AsyncIterator[Sample]:
    prepared(fresh_database)
    async with served(fresh_database) as sample:
        yield sample


class Client:
    """Reads a stream, event by event, and remembers the last id as a browser does."""

    def __init__(self, answer: Response) -> None:
        assert isinstance(answer, StreamingResponse)
        self.blocks: AsyncIterator[Any] = aiter(answer.body_iterator)
        self.last_id: str | None = None

    async def next(self) -> tuple[str, dict[str, Any]]:
        while True:
            block = (await asyncio.wait_for(anext(self.blocks), 20)).decode()
            lines = dict(line.split(": ", 1) for line in block.strip().splitlines())
            self.last_id = lines.get("id", self.last_id)
            if "data" in lines:
                return lines["event"], json.loads(lines["data"])

    async def until_id(self) -> str:
        """Reads what moves the id alone."""
        block = (await asyncio.wait_for(anext(self.blocks), 20)).decode()
        assert block.startswith("id: "), block
        self.last_id = block.strip().removeprefix("id: ")
        return self.last_id


async def connected(
    sample: Sample,
    who: Actor = SELLER,
    last_event_id: str | None = None,
    listing: Listing = COUNTERS,
) -> Client:
    asked = PageAsked(accept="text/event-stream", last_event_id=last_event_id)
    return Client(await stream(sample.ports, who, asked, listing, opens=True))


async def counted(sample: Sample, dsn: str, counter: str, step: int) -> None:
    await sample.post(f"/v1/counters/{counter}/count", {"lines": [{"step": step}]}, who=OF_ALPHA)
    await projected(sample, dsn, counter)


async def test_a_change_is_told_as_the_document_that_the_list_shows(
    sample: Sample, fresh_database: str
) -> None:
    client = await connected(sample)
    await client.until_id()

    counter = await sample.opened(OF_ALPHA)
    await projected(sample, fresh_database, counter)

    assert await client.next() == ("changed", {"counter_id": counter, "count": 0, "note": None})


async def test_what_happened_while_nobody_was_connected_is_told_from_the_last_id(
    sample: Sample, fresh_database: str
) -> None:
    client = await connected(sample)
    await client.until_id()
    counter = await sample.opened(OF_ALPHA)
    await projected(sample, fresh_database, counter)
    await client.next()
    await client.until_id()
    await client.blocks.aclose()  # type: ignore[attr-defined]
    await counted(sample, fresh_database, counter, 2)
    await counted(sample, fresh_database, counter, 1)

    again = await connected(sample, last_event_id=client.last_id)

    assert await again.next() == ("changed", {"counter_id": counter, "count": 3, "note": None})


async def test_a_change_that_the_read_model_has_not_seen_is_told_once_it_has(
    sample: Sample, fresh_database: str
) -> None:
    client = await connected(sample)
    first_id = await client.until_id()
    late, early = await sample.opened(OF_ALPHA), await sample.opened(OF_ALPHA)
    await projected(sample, fresh_database, early)
    assert (await client.next())[1]["counter_id"] == early
    behind = await client.until_id()  # a client that comes back from here has missed nothing

    await projected(sample, fresh_database, late)

    assert (await client.next())[1]["counter_id"] == late
    again = await connected(sample, last_event_id=behind)
    assert {(await again.next())[1]["counter_id"] for _ in range(2)} == {late, early}
    assert first_id != behind


async def test_what_the_filters_leave_out_now_has_left(sample: Sample, fresh_database: str) -> None:
    counter = await sample.opened(OF_ALPHA)
    await projected(sample, fresh_database, counter)
    client = await connected(sample)
    await client.until_id()

    await counted(sample, fresh_database, counter, 9)

    assert await client.next() == ("left", {"id": counter})


async def test_nothing_of_others_is_told_even_without_scoping(
    sample: Sample, fresh_database: str
) -> None:
    everything = Listing(table="counter_list", aggregate_id="counter_id")
    client = await connected(sample, RIVAL, listing=everything)
    await client.until_id()
    foreign = await sample.opened(OF_ALPHA)
    await projected(sample, fresh_database, foreign)

    own = await sample.opened(token("partner-seller", partner_id=BOREALIS))
    await projected(sample, fresh_database, own)

    assert (await client.next())[1]["counter_id"] == own


async def test_the_last_id_of_another_partner_or_list_is_refused(sample: Sample) -> None:
    mine = await (await connected(sample)).until_id()

    with pytest.raises(CursorUnreadable):
        await connected(sample, RIVAL, mine)
    with pytest.raises(CursorUnreadable):
        await connected(sample, SELLER, "bm9uc2Vuc2U=")


async def test_the_stores_end_is_asked_for_once_by_all_who_follow(
    sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, asked = sample.ports.database, list[str]()
    fetch = database.fetch

    async def counted(query: LiteralString, values: object) -> list[tuple[Any, ...]]:
        asked.append(query)
        return await fetch(query, values)

    monkeypatch.setattr(database, "fetch", counted)
    await sample.opened(OF_ALPHA)
    leaves, *stay = [asyncio.create_task(sample.ports.live.head()) for _ in range(50)]
    await asyncio.sleep(0)  # all of them are waiting now
    leaves.cancel()

    assert await asyncio.gather(*stay) == [1] * len(stay)
    assert asked.count(HEAD) == 1


async def test_streams_end_when_the_process_is_stopped(sample: Sample) -> None:
    client = await connected(sample)
    await client.until_id()

    sample.ports.live.stop()

    async with aclosing(client.blocks) as rest:  # type: ignore[type-var]
        assert [block async for block in rest] == []
    assert sample.ports.live.streams == 0


async def test_a_list_is_a_stream_for_who_accepts_events(sample: Sample) -> None:
    sample.ports.live.stop()  # so that it ends after its first word

    answer = await sample.get("/v1/counters", who=OF_ALPHA, Accept="text/event-stream")

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.startswith("id: ")
