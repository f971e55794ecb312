"""A deal registered over HTTP, n at a time: token, validation, load, decide, append, answer.

The API of deal-svc is one process by itself. Beside it the least that an endpoint on FastAPI can do
which keeps what it took (one row, psycopg), and the bare append of the event store, all on one
server; the load generator takes its share of the same machine. `python -m bench.http`.
"""

import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import httpx2
import psycopg

from chassis.storage.migrate import migrate
from ops import ports
from ops.local import Launch, LocalProcess
from ops.loopback import HTTP
from ops.testing import a_database

from . import append, minimal, vegeta
from .alone import Alone, alone, own_server
from .footprint import Footprint, minus
from .peer import Measured
from .results import Aim, Series, in_rounds, show

WIDTHS = (1, 32)
ROUNDS, SECONDS = 5, 3.0
MOST = 6000  # requests a second that a round has targets for
OURS, FLOOR, APPEND = "register a deal", "minimal endpoint", "bare append"
AIMS = (
    Aim("http", OURS, 32, 0.6, FLOOR),
    Aim("http CPU", "API and database", 32, 1.6),
    Aim("http memory", "API", 1, 80),
)


class Minimal(LocalProcess):
    """bench.minimal as a process."""

    name, patience, end_signal = "minimal endpoint", 30, signal.SIGTERM

    def __init__(self, home: Path, dsn: str) -> None:
        super().__init__(home, None, bound=True)
        self._dsn = dsn

    @property
    def address(self) -> str:
        return f"http://{ports.LOOPBACK}:{self.port}"

    def launch(self, port: int) -> Launch:
        return Launch([sys.executable, "-P", str(Path(minimal.__file__)), self._dsn, str(port)])

    def is_ready(self) -> bool:
        try:
            return HTTP.get(f"{self.address}/openapi.json").status_code == httpx2.codes.OK
        except httpx2.HTTPError:
            return False


class Told(NamedTuple):
    """CPU in milliseconds a request."""

    a_second: float
    api: float
    database: float


def told(url: str, headers: dict[str, str], at: Footprint, folder: Path, width: int) -> Told:
    """`width` clients, each with its next request once it is answered."""
    count = round(MOST * SECONDS)
    requests = vegeta.targets(folder / "targets", url, headers, count)
    before = at.cpu()
    answers = vegeta.attack(requests, SECONDS, workers=width)
    used = minus(at.cpu(), before)
    kept = [each for each in answers if each.status == 201]
    if len(kept) < len(answers):
        raise RuntimeError(next(each for each in answers if each.status != 201))
    took = max(each.at + each.seconds for each in kept) - min(each.at for each in kept)
    api, database = (used[name] / len(kept) * 1000 for name in ("api", "database"))
    return Told(len(kept) / took, api, database)


@contextmanager
def all_of_them(
    folder: Path,
) -> Iterator[tuple[Alone, dict[str, Callable[[int], Told | Measured]]]]:
    with own_server(folder) as server:
        admin, pid = server.address, server.home / "pid"
        with alone(server, folder / "deals") as deals, a_database(admin) as dsn:
            migrate(dsn)
            with psycopg.connect(dsn) as owner:
                owner.execute("CREATE TABLE rows (id bigserial PRIMARY KEY, data text NOT NULL)")
            floor = Minimal(folder / "minimal", dsn)
            try:
                floor.start()
                at = Footprint({"api": floor.home / "pid", "database": pid})
                url, headers = f"{floor.address}/rows", {"Content-Type": "application/json"}
                yield (
                    deals,
                    {
                        OURS: partial(told, deals.url, deals.headers, deals.footprint, folder),
                        FLOOR: partial(told, url, headers, at, folder),
                        APPEND: partial(append.run_store, dsn),
                    },
                )
            finally:
                floor.stop()


def measure(tell: Callable[[str], None]) -> list[Series]:
    if reason := vegeta.why_not():
        tell(f"left out: {reason}")
        return []
    found: list[Series] = []
    with tempfile.TemporaryDirectory() as folder, all_of_them(Path(folder)) as (deals, runs):
        at_start = deals.footprint.memory()["api"]
        for width in WIDTHS:
            for run in runs.values():
                run(width)  # the first requests build what all others use
            tell(f"{ROUNDS} rounds with {width} at a time")
            values = in_rounds(ROUNDS, {name: partial(run, width) for name, run in runs.items()})
            for name, each in values.items():
                rates = tuple(one.a_second for one in each)
                peer = None if name == FLOOR else FLOOR
                found.append(Series("http", name, width, "requests/s", rates, peer))
                if name != APPEND:
                    found += cpu(name, width, [one for one in each if isinstance(one, Told)])
        memory = (("API at the start", at_start), ("API", deals.footprint.memory()["api"]))
        for name, size in memory:
            found.append(Series("http memory", name, 1, "MiB", (size,), is_lower_better=True))
    return found


def cpu(name: str, width: int, each: list[Told]) -> Iterator[Series]:
    parts = {
        "API and database": [one.api + one.database for one in each],
        "API": [one.api for one in each],
        "database": [one.database for one in each],
    }
    for part, values in parts.items():
        variant = part if name == OURS else f"{name}: {part}"
        peer = f"{FLOOR}: {part}" if name == OURS else None
        unit = "ms/request"
        yield Series("http CPU", variant, width, unit, tuple(values), peer, is_lower_better=True)


def main() -> None:
    show(measure(partial(print, flush=True)), AIMS)


if __name__ == "__main__":
    main()
