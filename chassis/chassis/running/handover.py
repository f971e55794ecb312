"""A listening socket passes from one process of a service to the next, and no connection is lost.

Connections that wait to be accepted belong to the socket, whoever holds it. A second socket at the
same port (SO_REUSEPORT) would have a queue of its own, which the kernel resets when it is closed.
"""

import asyncio
import socket
from contextlib import suppress
from pathlib import Path

GIVEN_WITHIN = 5.0  # seconds
TAKE, RELIEVED = b"t", b"r"


class Predecessor:
    """The process that gave its socket away: it goes on as before until it is relieved."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line

    async def relieve(self) -> None:
        """To be called when this process answers. Returns once the other has ended, however."""
        loop = asyncio.get_running_loop()
        with self._line, suppress(OSError):
            await loop.sock_sendall(self._line, RELIEVED)
            await loop.sock_recv(self._line, 1)  # nothing comes but the end


def taken_over(path: str) -> tuple[socket.socket, Predecessor] | None:
    """The socket of the process that offers it at `path`; None if there is no such process."""
    line = socket.socket(socket.AF_UNIX)
    line.settimeout(GIVEN_WITHIN)
    try:
        line.connect(path)
        _, [listening], _, _ = socket.recv_fds(line, 1, 1)
    except (OSError, ValueError):  # nobody is there, or ends just now
        line.close()
        return None
    line.setblocking(False)
    return socket.socket(fileno=listening), Predecessor(line)


def offer(path: str) -> socket.socket:
    """Where a successor asks; whoever may open the path may take over. Raises OSError."""
    Path(path).unlink(missing_ok=True)
    door = socket.socket(socket.AF_UNIX)
    door.bind(path)
    door.listen(1)
    door.setblocking(False)
    return door


async def handed_over(door: socket.socket, listening: socket.socket) -> socket.socket:
    """Returns when a successor answers in this process' place: it waits for the end of what this
    returns. One that ends before it answers has changed nothing.
    """
    loop = asyncio.get_running_loop()
    with door:
        while True:
            line, _ = await loop.sock_accept(door)
            line.setblocking(False)
            with suppress(OSError):
                socket.send_fds(line, [TAKE], [listening.fileno()])
                if await loop.sock_recv(line, 1):
                    return line
            line.close()
