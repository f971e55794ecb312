"""Runs a service: one process that is its API, its worker, or both."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator

import uvicorn
import uvloop
from pydantic import ValidationError

from chassis.running.logging import log_as_json
from chassis.running.process import Process
from chassis.running.service import Service
from chassis.running.settings import Settings

log = logging.getLogger(__name__)

REQUESTS_END_WITHIN = 6  # seconds, of the 20 that a stop may take
WORK_ENDS_WITHIN = 11
BACKLOG = 2048


class Server(uvicorn.Server):
    """Signals are for the whole process to handle, not for its HTTP alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def run(service: Service, environment: type[Settings] = Settings) -> None:
    """Until SIGTERM or SIGINT; then everything begun is finished, and the exit code is 0.

    `environment`: the service's own settings, if it has more than all have.
    """
    log_as_json(service.name)
    try:
        settings = environment.read()
        listening = bound(settings.host, settings.service_port)
    except ValidationError as wrong:
        said = [f"PRM_{str(e['loc'][0]).upper()}: {e['msg']}" for e in wrong.errors()]
        sys.exit(f"{service.name} is not started: {'; '.join(said)}")
    except OSError as taken:
        # Before anything joins a consumer group: a second start must not disturb the first.
        sys.exit(f"{service.name} is not started: {taken}")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.exit(runner.run(serve(service, settings, listening)))


def bound(host: str, port: int) -> socket.socket:
    """Raises OSError, which names the address, if somebody else listens there."""
    try:
        return socket.create_server((host, port), backlog=BACKLOG)
    except OSError as taken:
        raise OSError(f"{host}:{port} cannot be listened at: {taken.strerror}") from None


async def serve(service: Service, settings: Settings, listening: socket.socket) -> int:
    """Answers with the exit code: 0 after a signal, 1 when a part ended by itself."""
    stopping = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stopping.set)
    process = Process(service, settings)
    config = uvicorn.Config(
        process.app,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=REQUESTS_END_WITHIN,
    )
    server = Server(config)
    await process.open()
    # A connection waits in the backlog until somebody takes it.
    parts = [asyncio.create_task(server.serve([listening]))]
    parts += [asyncio.create_task(process.work.run())] if process.work else []
    asked = asyncio.create_task(stopping.wait())
    log.info("%s listens at %s:%s", service.name, *listening.getsockname()[:2])
    await asyncio.wait({*parts, asked}, return_when=asyncio.FIRST_COMPLETED)
    process.health.is_draining = True
    process.ports.live.stop()
    server.should_exit = True
    await asyncio.wait(parts[:1])
    if process.work:
        await process.work.stop()
    _, late = await asyncio.wait(parts, timeout=WORK_ENDS_WITHIN)
    if late:
        # Nothing is lost: what was not committed is taken again after the next start.
        log.error("%s is ended hard: its worker did not stop in time", service.name)
        os._exit(1)
    faults = await asyncio.gather(*parts, return_exceptions=True)
    await process.close()
    for fault in filter(None, faults):
        log.error("a part of it ended", exc_info=fault)
    log.info("%s has stopped", service.name)
    return 0 if asked.done() and not any(faults) else 1
