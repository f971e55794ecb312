"""Runs a service: one process that is its API, its worker, or both."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any, NoReturn, cast

import uvicorn
import uvloop
from pydantic import ValidationError

from chassis.running.connection import KEPT_FOR, Connection, Farewell
from chassis.running.handover import Predecessor, handed_over, offer, taken_over
from chassis.running.logging import log_as_json
from chassis.running.process import Process
from chassis.running.service import Service
from chassis.running.settings import Settings

log = logging.getLogger(__name__)

# Seconds, of the 20 that a stop may take. One who is relieved closes nothing that is kept: it waits
# until each connection had its last answer, or its time without a request is over.
FAREWELL_WITHIN, RELIEVED_FAREWELL_WITHIN = 1.0, KEPT_FOR + 0.5
REQUESTS_END_WITHIN = 3
WORK_ENDS_WITHIN = 9
CLOSED_WITHIN = 1.5
BACKLOG = 2048
DOORS = 64
COLLECTED_AFTER = 5000, 20, 20  # objects, and collections of the generation before


class Server(uvicorn.Server):
    """Signals are for the whole process to handle, not for its HTTP alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def taken_leave(self, within: float) -> None:
        """Takes no connection more, and gives those that are open time for one last answer.

        Closed under a client that is just asking, a kept connection would be a failed request.
        """
        for each in self.servers if self.started else ():
            each.close()
        end = asyncio.get_running_loop().time() + within
        while self.server_state.connections:
            if asyncio.get_running_loop().time() > end:
                return
            await asyncio.sleep(0.02)


def run(service: Service, environment: type[Settings] = Settings) -> None:
    """Until SIGTERM or SIGINT, or until a successor answers; then everything begun is finished, and
    the exit code is 0.

    `environment`: the service's own settings, if it has more than all have.
    """
    log_as_json(service.name)
    try:
        settings = environment.read()
        listening, predecessor = listened(settings)
    except ValidationError as wrong:
        said = [f"PRM_{str(e['loc'][0]).upper()}: {e['msg']}" for e in wrong.errors()]
        sys.exit(f"{service.name} is not started: {'; '.join(said)}")
    except OSError as taken:
        # Before anything joins a consumer group: a second start must not disturb the first.
        sys.exit(f"{service.name} is not started: {taken}")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code = runner.run(serve(service, settings, listening, predecessor))
        # All that is ours is finished. A client cut off from its broker may have left a task that
        # swallows its cancellation, and the loop would wait for it for ever.
        leave(code)


def leave(code: int) -> NoReturn:
    """At once, but for the log: it still tells what it left out."""
    logging.shutdown()
    os._exit(code)


def listened(settings: Settings) -> tuple[socket.socket, Predecessor | None]:
    """Raises OSError, which names the address, if somebody listens there who does not hand over."""
    if settings.handover and (taken := taken_over(settings.handover)):
        return taken
    host, port = settings.host, settings.service_port
    try:
        return socket.create_server((host, port), backlog=BACKLOG), None
    except OSError as occupied:
        raise OSError(f"{host}:{port} cannot be listened at: {occupied.strerror}") from None


async def serve(
    service: Service,
    settings: Settings,
    listening: socket.socket,
    predecessor: Predecessor | None = None,
) -> int:
    """Answers with the exit code: 0 after a signal or a relief, 1 when a part ended by itself."""
    stopping = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stopping.set)
    process = Process(service, settings)
    await process.open()
    asked: list[asyncio.Task[Any]] = [asyncio.create_task(stopping.wait())]
    if predecessor:
        log.info("%s is about to take the place of another process", service.name)
        await first_of(*asked, asyncio.create_task(until_it_can_answer(process)))
    collect_less()
    server = Server(config_of(process))
    # A connection waits in the backlog until somebody takes it.
    parts = [asyncio.create_task(server.serve(doors(listening)))]
    log.info("%s listens at %s:%s", service.name, *listening.getsockname()[:2])
    if predecessor and not stopping.is_set():
        # Two workers of one instance would push each other out of the group: this one waits.
        await first_of(*parts, *asked, asyncio.create_task(predecessor.relieve()))
    if not stopping.is_set():
        if settings.handover:
            heir = handed_over(offer(settings.handover), listening)
            asked.append(asyncio.create_task(heir))
        parts += [asyncio.create_task(process.work.run())] if process.work else []
    await first_of(*parts, *asked)
    is_asked = any(each.done() for each in asked)
    within = FAREWELL_WITHIN if stopping.is_set() or not is_asked else RELIEVED_FAREWELL_WITHIN
    await farewell(process, server, within)
    return await ended(process, server, parts, is_asked=is_asked)


def doors(listening: socket.socket) -> list[socket.socket]:
    """The same socket so many times: of each the loop takes one connection a turn, and turns are
    long under load. Who waits outside then is not even told to come again.

    Not by `dup`, which has the calls at the socket wait: at that of another process too, whose
    loop then stands still in an accept.
    """
    same = listening.fileno(), listening.family, listening.type
    return [listening, *(socket.fromfd(*same) for _ in range(DOORS - 1))]


def collect_less() -> None:
    """What the start has made stays: looking through it again and again took a sixth of the CPU."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTED_AFTER)


async def until_it_can_answer(process: Process) -> None:
    while not await process.can_answer():  # noqa: ASYNC110 - the database tells nobody
        await asyncio.sleep(0.1)


async def first_of(*tasks: asyncio.Task[Any]) -> None:
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)


async def farewell(process: Process, server: Server, within: float) -> None:
    process.health.is_draining = True
    process.ports.live.stop()
    await server.taken_leave(within)


async def ended(
    process: Process, server: Server, parts: list[asyncio.Task[None]], *, is_asked: bool
) -> int:
    """Ends all in order. Answers with the exit code."""
    name = process.service.name
    server.should_exit = True
    await asyncio.wait(parts[:1])
    if process.work:
        await process.work.stop()
    _, late = await asyncio.wait(parts, timeout=WORK_ENDS_WITHIN)
    if late:
        # Nothing is lost: what was not committed is taken again after the next start.
        log.error("%s is ended hard: its worker did not stop in time", name)
        leave(1)
    faults = await asyncio.gather(*parts, return_exceptions=True)
    closing = asyncio.gather(process.close(), return_exceptions=True)
    await asyncio.wait([closing], timeout=CLOSED_WITHIN)
    for fault in filter(None, faults):
        log.error("a part of it ended", exc_info=fault)
    log.info("%s has stopped", name)
    return 0 if is_asked and not any(faults) else 1


def config_of(process: Process) -> uvicorn.Config:
    return uvicorn.Config(
        Farewell(process.app, process.health),
        http=cast(type[Connection], partial(Connection, process.admission, process.health)),
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nobody asks for the client's address, nor for the scheme
        timeout_keep_alive=KEPT_FOR,
        timeout_graceful_shutdown=REQUESTS_END_WITHIN,
    )
