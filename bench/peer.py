"""Other event stores, to be measured beside ours: each a small program in its folder of peers/.

A program takes a DSN, how many commands at a time, and seconds, and prints one line of JSON:
{"commands": n, "seconds": s, "cpu_seconds": of its own process}.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

FOLDERS = Path(__file__).parent / "peers"


class Measured(NamedTuple):
    a_second: float
    cpu_us: float  # of the client, a command


@dataclass(frozen=True)
class Peer:
    """`fetch`: brings what it runs on into `fetched`, which git knows nothing of."""

    name: str
    command: Sequence[str]
    fetch: Sequence[str] = ()
    fetched: str = ""

    @property
    def folder(self) -> Path:
        return FOLDERS / self.name

    def why_not(self) -> str | None:
        """Why it can't run here, or None once it can."""
        for tool in (self.command[0], *self.fetch[:1]):
            if not shutil.which(tool):
                return f"{tool} is not installed"
        if self.fetch and not (self.folder / self.fetched).exists():
            done = subprocess.run(
                self.fetch, cwd=self.folder, capture_output=True, text=True, check=False
            )
            if done.returncode:
                return f"`{' '.join(self.fetch)}` failed: {(done.stdout + done.stderr)[-500:]}"
        return None

    def run(self, dsn: str, width: int, seconds: float) -> Measured:
        done = subprocess.run(
            [*self.command, dsn, str(width), str(seconds)],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{self.name} failed: {done.stderr[-2000:]}")
        found = json.loads(done.stdout.splitlines()[-1])
        commands = found["commands"]
        return Measured(commands / found["seconds"], found["cpu_seconds"] / commands * 1e6)


STOCK = Peer("stock", (sys.executable, "peer.py"))
AXON = Peer(
    "axon",
    ("java", "-cp", "target/lib/*", "Peer.java"),
    fetch=(
        "mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=target/lib",
    ),
    fetched="target/lib",
)  # fmt: skip
EMMETT = Peer("emmett", ("node", "peer.mjs"), fetch=("npm", "ci"), fetched="node_modules")
PEERS = (STOCK, AXON, EMMETT)


def present(tell: Callable[[str], None]) -> list[Peer]:
    """Those that run here; tells of each that does not, and why."""
    found = []
    for peer in PEERS:
        if reason := peer.why_not():
            tell(f"{peer.name} is left out: {reason}")
        else:
            found.append(peer)
    return found
