"""Connections: how they are taken, and how an answer leaves on them."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import uvicorn
import uvloop

from chassis.running.connection import Connection, Joined
from chassis.running.runtime import Server, doors
from chassis.web.admission import Admission
from chassis.web.health import Health

WAITING = 64
ASKED = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
NOTHING_TO_ADMIT_TO = Admission(
    (), cast(Any, SimpleNamespace(identity=SimpleNamespace(known=None)))
)


class Written:
    """A transport that keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes) -> None:
        assert not self.is_closed
        self.sent.append(data)

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed


def joined(transport: Written) -> Joined:
    return Joined(cast(asyncio.Transport, transport), asyncio.get_running_loop())


async def test_what_is_written_in_one_turn_leaves_together() -> None:
    transport = Written()
    connection = joined(transport)

    connection.write(b"head")
    connection.write(b"body")
    await asyncio.sleep(0)
    connection.write(b"next")
    await asyncio.sleep(0)

    assert transport.sent == [b"headbody", b"next"]


async def test_what_is_written_before_a_close_leaves_before_it() -> None:
    transport = Written()
    connection = joined(transport)

    connection.write(b"last")
    connection.close()
    connection.write(b"too late")
    await asyncio.sleep(0)

    assert (transport.sent, transport.is_closed) == ([b"last"], True)


async def hello(scope: Any, receive: Any, send: Any) -> None:
    head = [(b"content-length", b"5")]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": b"hello"})


@asynccontextmanager
async def served(listening: socket.socket) -> AsyncIterator[Server]:
    made = cast(type[Connection], partial(Connection, NOTHING_TO_ADMIT_TO, Health()))
    server = Server(uvicorn.Config(hello, http=made, lifespan="off", log_config=None))
    serving = asyncio.create_task(server.serve(doors(listening)))
    yield server
    server.should_exit = True
    await serving


async def turns_until_all_are_taken(listening: socket.socket) -> int:
    """Of the event loop: how long a turn takes depends on what else is done in it."""
    async with served(listening) as server:
        turns = 0
        while len(server.server_state.connections) < WAITING:
            turns += 1
            await asyncio.sleep(0)
        return turns


def test_connections_that_wait_are_taken_many_a_turn() -> None:
    listening = socket.create_server(("127.0.0.1", 0), backlog=WAITING)
    clients = [socket.create_connection(listening.getsockname()) for _ in range(WAITING)]

    turns = uvloop.run(turns_until_all_are_taken(listening))

    assert turns < WAITING / 4
    for client in clients:
        client.close()


def test_an_answer_is_whole_and_the_connection_stays() -> None:
    listening = socket.create_server(("127.0.0.1", 0))

    async def asked_twice() -> list[bytes]:
        async with served(listening):
            reader, writer = await asyncio.open_connection(*listening.getsockname())
            answers = []
            for _ in range(2):
                writer.write(ASKED)
                answers.append((await reader.readuntil(b"hello")).partition(b"\r\n")[0])
            writer.close()
            await writer.wait_closed()
            return answers

    assert uvloop.run(asked_twice()) == [b"HTTP/1.1 200 OK"] * 2
