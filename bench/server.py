"""A PostgreSQL for one bench: a local process of its own, with as many sessions as it needs."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ops.backends.postgres import Postgres
from ops.local import Launch


class ServerOfABench(Postgres):
    """As every local one, but for `settings`."""

    settings: dict[str, str]

    def launch(self, port: int) -> Launch:
        told = [f"--{name}={value}" for name, value in self.settings.items()]
        launch = super().launch(port)
        return launch._replace(command=[*launch.command, *told])


@contextmanager
def own_postgres(**settings: str) -> Iterator[str]:
    """The DSN of its administrator; it is gone on leaving. For 300 sessions if nobody says else."""
    home = Path(tempfile.mkdtemp(prefix="prm-bench-"))
    server = ServerOfABench(home, bound=True)
    server.settings = {"max_connections": "300"} | settings
    try:
        yield server.start()
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)
