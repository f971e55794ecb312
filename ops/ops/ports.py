"""Ports on the loopback interface: which are free, and who holds one that is not."""

import itertools
import os
import socket
from pathlib import Path

LOOPBACK = "127.0.0.1"
# Below the range from which the kernel takes the ports of outgoing connections: a port found free
# there may be somebody's client socket a moment later. Each process of tests has a block of its
# own, and goes round in it: between finding a port and listening there others find theirs.
_BLOCK = 100
_FIRST = 20_000 + os.getpid() % 120 * _BLOCK
_OWN_PORTS = itertools.cycle(range(_FIRST, _FIRST + _BLOCK))


def is_free(port: int) -> bool:
    """Whether a server could listen there now. Lingering closed connections do not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError:
            return False
        return True


def next_free(first: int) -> int:
    return next(port for port in range(first, first + 1000) if is_free(port))


def any_free() -> int:
    """A free port for tests and benches, another one each time."""
    return next(port for port in _OWN_PORTS if is_free(port))


def answers(port: int) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1):
            return True
    except OSError:
        return False


def keeps(port: int) -> bool:
    """Whether a connection stays open: an engine's proxy takes one before the server listens, and
    drops it. For servers that wait for the client to speak.
    """
    try:
        with socket.create_connection((LOOPBACK, port), timeout=0.2) as connection:
            return bool(connection.recv(1))
    except TimeoutError:
        return True
    except OSError:
        return False


def holder_of(port: int) -> str:
    """Who listens on the port: "process 123 (command line)", or "another process"."""
    inode = _listening_inode(port)
    if inode is None:
        return "another process"
    for fd in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            is_it = str(fd.readlink()) == f"socket:[{inode}]"
        except OSError:  # not ours to look at, or gone meanwhile
            continue
        if is_it:
            command = fd.parents[1].joinpath("cmdline").read_bytes().replace(b"\0", b" ")
            return f"process {fd.parents[1].name} ({command.decode().strip()})"
    return "another process"


def _command(process: Path) -> str:
    try:
        return process.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return "its command is hidden"


def _listening_inode(port: int) -> str | None:
    """Socket inode from the kernel's tables; columns: sl, local, remote, state (0A), ..., inode."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = [line.split() for line in Path(table).read_text().splitlines()[1:]]
        except OSError:
            continue
        for row in rows:
            if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port:
                return row[9]
    return None
