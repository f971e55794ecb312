"""A PostgreSQL or a broker for one bench: a local process of its own."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ops.backends.kafka import Kafka
from ops.backends.postgres import Postgres
from ops.local import Launch, LocalServer


class ServerOfABench(Postgres):
    """As every local one, but for `settings`."""

    settings: dict[str, str]

    def launch(self, port: int) -> Launch:
        told = [f"--{name}={value}" for name, value in self.settings.items()]
        launch = super().launch(port)
        return launch._replace(command=[*launch.command, *told])


@contextmanager
def own_postgres(**settings: str) -> Iterator[str]:
    """The DSN of its administrator. For 300 sessions if nobody says else."""
    with _home() as home:
        server = ServerOfABench(home, bound=True)
        server.settings = {"max_connections": "300"} | settings
        with _running(server) as dsn:
            yield dsn


@contextmanager
def own_kafka() -> Iterator[str]:
    """A broker's address."""
    with _home() as home, _running(Kafka(home, bound=True)) as bootstrap:
        yield bootstrap


@contextmanager
def _home() -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="prm-bench-"))
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _running(server: LocalServer) -> Iterator[str]:
    try:
        yield server.start()
    finally:
        server.stop()
