"""Load from outside: the generator vegeta as a process, and what it saw of each request."""

import base64
import csv
import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from statistics import quantiles
from typing import NamedTuple
from uuid import uuid4

from .alone import PRODUCT
from .load import a_deal

VERSION = "v12.13.0"
MODULE = f"github.com/tsenart/vegeta/v12@{VERSION}"
BINARY = Path(__file__).parent / f".vegeta/vegeta-{VERSION}"  # git-ignored
LARGEST_FIELD = 1 << 24


class Answer(NamedTuple):
    """`at`, `seconds`: when it was due, and how long it took from then; `status` 0: none came."""

    at: float
    status: int
    seconds: float
    error: str
    headers: str

    @property
    def retry_after(self) -> bool:
        return "\nretry-after:" in f"\n{self.headers.lower()}"


def why_not() -> str | None:
    """Why there is no generator here, or None once there is: it is built when first asked for."""
    if BINARY.exists():
        return None
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        return "go is not installed, which builds the load generator"
    BINARY.parent.mkdir(exist_ok=True)
    env = os.environ | {"GOBIN": str(BINARY.parent.resolve()), "GOFLAGS": "-mod=mod"}
    done = subprocess.run(
        [go, "install", MODULE], capture_output=True, text=True, check=False, env=env
    )
    if done.returncode:
        return f"`go install {MODULE}` failed: {done.stderr[-500:]}"
    (BINARY.parent / "vegeta").rename(BINARY)
    return None


def targets(file: Path, url: str, headers: Mapping[str, str], count: int) -> Path:
    """So many registrations, no two alike, one a line."""
    with file.open("w") as out:
        for _ in range(count):
            header = {name: [value] for name, value in headers.items()}
            header["Idempotency-Key"] = [str(uuid4())]
            body = base64.b64encode(json.dumps(a_deal(str(PRODUCT))).encode()).decode()
            json.dump({"method": "POST", "url": url, "body": body, "header": header}, out)
            out.write("\n")
    return file


def attack(file: Path, seconds: float, *, rate: float = 0, workers: int = 32) -> list[Answer]:
    """At `rate` a second whatever comes of it; at 0, `workers` each as fast as it is answered."""
    results = file.with_suffix(".results")
    pace = ["-rate", f"{round(rate * 10)}/10s"] if rate else ["-rate", "0"]
    pace += ["-workers", str(workers)] + ([] if rate else ["-max-workers", str(workers)])
    command = [str(BINARY), "attack", "-format=json", "-lazy", f"-targets={file}", *pace]
    command += [f"-duration={seconds}s", "-timeout=30s", "-max-body=0", f"-output={results}"]
    subprocess.run(command, check=True, capture_output=True)
    encoded = subprocess.run(
        [str(BINARY), "encode", "-to=csv", str(results)], check=True, capture_output=True
    )
    results.unlink()
    csv.field_size_limit(LARGEST_FIELD)
    return list(_read(encoded.stdout.decode().splitlines()))


def _read(lines: Iterable[str]) -> Iterator[Answer]:
    for at, status, latency, _, _, error, _, _, _, _, _, headers in csv.reader(lines):
        told = base64.b64decode(headers).decode()
        yield Answer(int(at) / 1e9, int(status), int(latency) / 1e9, error, told)


def p50_p99(seconds: Iterable[float]) -> tuple[float, float]:
    cuts = quantiles(seconds, n=100, method="inclusive")
    return cuts[49], cuts[98]
