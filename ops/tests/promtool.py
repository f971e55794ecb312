"""Prometheus' own tool for rules: the one at hand, else Debian's package, unpacked in the cache."""

import os
import shutil
import subprocess
from pathlib import Path

FETCHED_WITHIN = 120  # seconds


def promtool() -> Path | None:
    """None where there is none and Debian's package cannot be had."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "prm" / "promtool"
    at_hand = shutil.which("promtool", path=f"{os.environ['PATH']}:{cache}")
    if at_hand:
        return Path(at_hand)
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return None
    try:
        return fetched(cache)
    except (OSError, subprocess.SubprocessError, StopIteration):
        return None


def fetched(cache: Path) -> Path:
    """As any user: with lists of its own, and nothing is installed."""
    making = cache.with_suffix(f".{os.getpid()}")
    (making / "lists" / "partial").mkdir(parents=True)
    apt = [
        *("apt-get", "-qq", "-o", f"Dir::State::lists={making}/lists"),
        *("-o", f"Dir::Cache={making}", "-o", "APT::Sandbox::User=root"),
    ]
    try:
        for command in ([*apt, "update"], [*apt, "download", "prometheus"]):
            subprocess.run(
                command, cwd=making, check=True, capture_output=True, timeout=FETCHED_WITHIN
            )
        package = next(making.glob("prometheus_*.deb"))
        subprocess.run(["dpkg-deb", "-x", package, making / "x"], check=True)
        cache.mkdir(parents=True, exist_ok=True)
        (making / "x" / "usr" / "bin" / "promtool").replace(cache / "promtool")
    finally:
        shutil.rmtree(making)
    return cache / "promtool"
