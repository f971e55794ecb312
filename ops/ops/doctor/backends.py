"""What may be wrong below the services: the disk, the database, the broker."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg

from ops.backends.kafka import answers_metadata
from ops.doctor.findings import Area, Finding
from ops.platform import Platform
from ops.show import without_password

LEAST_FREE = 1024**3  # bytes; PostgreSQL and Kafka stop when there are none
OLDEST_POSTGRES = 15
BUSY = 0.9  # of the connections that the server allows

SERVER = """
SELECT current_setting('server_version_num')::int / 10000, current_setting('max_connections')::int,
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')"""


def disk(home: Path, least: int = LEAST_FREE) -> Area:
    """`least`: free bytes below which something is wrong."""
    place = next(it for it in (home, *home.parents) if it.exists())
    free = shutil.disk_usage(place).free
    gib = f"{free / 1024**3:.1f} GiB"
    if free >= least:
        return Area("disk", f"{gib} free at {place}")
    what = f"only {gib} free at {place}: database and broker stop when there is nothing left"
    to_do = f"make room there, or move {home} and name it in PRM_HOME"
    return Area("disk", "", (Finding("broken", what, to_do),))


def postgres(platform: Platform) -> Area:
    address = platform.state.postgres
    if address is None:
        return Area("postgres", "", (_never_started("PostgreSQL"),))
    shown = without_password(address)
    try:
        with psycopg.connect(address, connect_timeout=3) as connection:
            [(version, most, taken)] = connection.execute(SERVER).fetchall()
    except psycopg.Error as away:
        _, runs_at = platform.backends_up()
        return Area("postgres", "", (_away("PostgreSQL", shown, runs_at, str(away)),))
    return Area(
        "postgres",
        f"version {version} answers at {shown}, {taken} of {most} connections taken",
        tuple(_of_server(version, taken, most)),
    )


def _of_server(version: int, taken: int, most: int) -> Iterator[Finding]:
    if version < OLDEST_POSTGRES:
        what = f"it is version {version}, and {OLDEST_POSTGRES} is the oldest that is tried"
        yield Finding("broken", what, "upgrade the server")
    if taken >= BUSY * most:
        what = f"{taken} of its {most} connections are taken: services will wait for one"
        to_do = "raise max_connections, or end who else uses the server (pg_stat_activity says who)"
        yield Finding("hampered", what, to_do)


def kafka(platform: Platform) -> Area:
    address = platform.state.kafka
    if address is None:
        return Area("kafka", "", (_never_started("Kafka"),))
    if answers_metadata(address):
        return Area("kafka", f"a broker answers at {address}")
    runs_at, _ = platform.backends_up()
    return Area("kafka", "", (_away("Kafka", address, runs_at, "no broker names itself there"),))


def _never_started(name: str) -> Finding:
    return Finding("unknown", f"{name} has never been started here", "`prm up` starts everything")


def _away(name: str, address: str, runs_at: str | None, said: str) -> Finding:
    log = f"`prm logs {name.lower().removesuffix('ql')}`"
    if runs_at is None:
        what = f"{name} does not run; it was at {address}"
        return Finding("broken", what, f"`prm up` starts it again; {log} shows its last words")
    what = f"{name} runs, but does not answer at {address}: {_first_line(said)}"
    return Finding("broken", what, f"{log} says why; if it hangs, `prm down` and `prm up`")


def _first_line(said: str) -> str:
    return (said.splitlines() or [""])[0]
