"""How long `make demo` takes whoever sees this checkout for the first time, and after that.

`python -m bench.demo [--json FILE]` clones what is committed and plays there. Cold: nothing is
there, neither environment nor caches of pip, uv and Maven, so all is fetched over the network.
Warm: all is fetched, and the data are gone (`make clean`). Again: one more round on a platform
that is up.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ops.settings import CHECKOUT

from .figures import Figure, as_table, machine, write_json

PORT_OFFSET = 3_000  # beside a platform that runs here, below the ports of outgoing connections
COLD, WARM = 300.0, 60.0  # seconds


def figures(home: Path) -> Iterator[Figure]:
    clone, caches = home / "clone", home / "caches"
    subprocess.run(["git", "clone", "--quiet", str(CHECKOUT), str(clone)], check=True)
    env = {name: text for name, text in os.environ.items() if not name.startswith(("PRM_", "UV_"))}
    env |= {"XDG_CACHE_HOME": str(caches), "PRM_PORT_OFFSET": str(PORT_OFFSET)}
    env["MAVEN_OPTS"] = f"-Dmaven.repo.local={caches / 'maven'}"

    def make(target: str) -> float:
        print(f"make {target} ...", flush=True)
        begun = time.monotonic()
        with (home / f"{target}.log").open("w") as log:
            done = subprocess.run(
                ["make", target], cwd=clone, env=env, stdout=log, stderr=log, check=False
            )
        if done.returncode:
            raise SystemExit((home / f"{target}.log").read_text()[-2000:])
        return time.monotonic() - begun

    try:
        yield Figure("make demo, cold", make("demo"), "s", "aim", COLD)
        make("clean")
        yield Figure("make demo, warm", make("demo"), "s", "aim", WARM)
        yield Figure("make demo, again", make("demo"), "s", "aim", WARM)
    finally:
        make("clean")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # and cleans up
    about = machine()
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    with tempfile.TemporaryDirectory(prefix="prm-demo-") as home:
        found = list(figures(Path(home)))
    print(f"\n{as_table(found)}")
    if asked.json:
        write_json(asked.json, about, found)


if __name__ == "__main__":
    main()
