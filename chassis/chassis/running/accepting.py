"""Connections are taken from a listening socket until none waits.

libuv takes one a turn of the event loop, and turns are long under load: who waited outside then was
not even told to come again.
"""

import asyncio
import logging
import socket
from collections.abc import Callable

log = logging.getLogger(__name__)

MOST = 2048  # in a turn
PAUSE = 1.0  # seconds, where the process can open nothing more


class Acceptor:
    """One of uvicorn's servers. Closed, it closes its socket: another process may go on at it."""

    def __init__(
        self, listening: socket.socket, connected: Callable[[], asyncio.BaseProtocol]
    ) -> None:
        self._listening, self._connected = listening, connected
        self._loop = asyncio.get_running_loop()
        self._being_made = set[asyncio.Task[object]]()
        listening.setblocking(False)
        self._open()

    def close(self) -> None:
        if self._listening.fileno() >= 0:
            self._loop.remove_reader(self._listening)
            self._listening.close()

    async def wait_closed(self) -> None: ...

    def _open(self) -> None:
        if self._listening.fileno() >= 0:
            self._loop.add_reader(self._listening, self._take)

    def _take(self) -> None:
        for _ in range(MOST):
            try:
                connection, _ = self._listening.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as full:
                log.warning("no connection can be taken for a moment: %s", full.strerror)
                self._loop.remove_reader(self._listening)
                self._loop.call_later(PAUSE, self._open)
                return
            making = self._loop.connect_accepted_socket(self._connected, connection)
            made = self._loop.create_task(making)
            self._being_made.add(made)
            made.add_done_callback(self._being_made.discard)
