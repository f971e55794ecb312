"""The Faust app of a service: its group, one agent a topic, and what was measured about both."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, Protocol, cast

import faust

from chassis.consuming.records import Record, plain_headers
from chassis.consuming.tracking import Place

WINDOW = 200  # records
SESSION, HEARTBEAT = 10.0, 2.0  # seconds; a static member is missed after a session


class Taker(Protocol):
    """`commit` must return only when the effect of all is durable, and never raise: Faust would
    acknowledge and lose what it was given. `gather`: returns when the next window may be closed.
    """

    async def commit(self, records: Sequence[Record]) -> None: ...
    async def gather(self) -> None: ...


class Message(Protocol):
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Any


class Event(Protocol):
    message: Message


class Stream(Protocol):
    enable_acks: bool

    def events(self) -> AsyncIterator[Event]: ...
    async def ack(self, event: Event) -> bool: ...


def build(service: str, bootstrap: str, topics: Iterable[str], instance: str, taker: Taker) -> Any:
    """Not started yet: `taker` is given what its group hands to this worker."""
    app = faust.App(
        service,
        broker=f"kafka://{bootstrap}",
        # Faust makes these directories when a worker command runs; nothing is ever kept there.
        datadir=tempfile.gettempdir(),
        store="memory://",
        web_enabled=False,
        autodiscover=False,
        key_serializer="raw",
        value_serializer="raw",
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=f"{service}-{instance}",
        broker_session_timeout=SESSION,
        broker_heartbeat_interval=HEARTBEAT,
        broker_commit_interval=1.0,
        broker_max_poll_records=WINDOW,
        stream_wait_empty=False,
        stream_recovery_delay=0.0,
    )
    for topic in topics:
        _agent(app, topic, taker)
    return app


def _agent(app: Any, topic: str, taker: Taker) -> None:
    source = app.topic(
        topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
    )

    async def agent(stream: Any) -> None:
        await _hand_over(cast(Stream, stream), taker)

    app.agent(source, name=f"chassis.consuming.faust_app.{topic}")(agent)


async def _hand_over(stream: Stream, taker: Taker) -> None:
    """All that has come while the window before was taken is the next window.

    Faust's own `take_events` does the same on a timer for each agent: an idle service then wakes
    a thousand times a second.
    """
    stream.enable_acks = False  # acknowledged once the effect is durable
    come: asyncio.Queue[Event] = asyncio.Queue(WINDOW)
    async with asyncio.TaskGroup() as both:
        taking = both.create_task(_take_windows(stream, come, taker))
        async for event in stream.events():
            await come.put(event)
        taking.cancel()


async def _take_windows(stream: Stream, come: asyncio.Queue[Event], taker: Taker) -> None:
    while True:
        window = [await come.get()]
        await taker.gather()
        while not come.empty():
            window.append(come.get_nowait())
        await taker.commit([_record(event.message) for event in window])
        for event in window:
            await stream.ack(event)


def _record(message: Message) -> Record:
    return Record(
        message.topic,
        message.partition,
        message.offset,
        message.key,
        message.value,
        plain_headers(message.headers),
    )


def assigned(app: Any) -> set[Place]:
    """The partitions that the group has given to this worker."""
    return {Place(each.topic, each.partition) for each in app.consumer.assignment()}
