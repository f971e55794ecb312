"""Backups of the databases and keys of this machine's PostgreSQL, and the way back to any instant.

A folder holds base backups (`base-<instant>`), and in `wal` what PostgreSQL wrote since: from both
the server comes back as it was at any instant between the first backup and now. All databases, the
key database among them, are of one instant.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ops.backends.postgres import Postgres, binaries
from ops.failures import OpsError, with_last_lines
from ops.local import wait_for

Tell = Callable[[str], None]
NAMED = "base-%Y%m%dT%H%M%SZ"
SLOT = "prm_backup"  # the server keeps what the follower has not fetched yet
RECOVERED_WITHIN = 600.0  # seconds; progress is in the server's log
RECOVERING = """
# Written by `prm backup restore`; taken out once it has ended.
restore_command = 'cp "$(ls "{wal}"/%f "{wal}"/%f.partial 2>&- | head -n 1)" "%p"'
recovery_target_action = 'promote'
"""
LEFT_OVER = ("restore_command", "recovery_target_action", "recovery_target_time")


def take(dsn: str, folder: Path, now: datetime) -> Path:
    """A base backup of the whole server, verified; it goes on meanwhile. Raises OpsError."""
    base = folder / now.strftime(NAMED)
    draft = base.with_suffix(".new")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.rmtree(draft, ignore_errors=True)
    _run("pg_basebackup", dsn, "-D", draft, "--checkpoint=fast", "--wal-method=stream")
    _verify(draft)
    draft.rename(base)
    return base


def follower(dsn: str, folder: Path) -> tuple[list[str], dict[str, str]]:
    """The command that fetches the server's log until it is ended, and its environment.

    The server keeps for it what it has not fetched: a follower that is given up for good is taken
    off with `SELECT pg_drop_replication_slot('prm_backup')`, or the disk fills.
    """
    (folder / "wal").mkdir(mode=0o700, parents=True, exist_ok=True)
    _run("pg_receivewal", dsn, "--create-slot", "--if-not-exists", "--slot", SLOT)
    fetching = ("-D", folder / "wal", "--slot", SLOT, "--synchronous")
    return _command("pg_receivewal", dsn, *fetching)


def bases(folder: Path) -> list[tuple[datetime, Path]]:
    """The finished backups, oldest first, by when they were begun."""
    found = []
    for path in sorted(folder.glob("base-*")):
        try:
            found.append((datetime.strptime(path.name, NAMED).replace(tzinfo=UTC), path))
        except ValueError:
            continue  # one that was not finished
    return found


def restore(server: Postgres, folder: Path, until: datetime | None, tell: Tell) -> Path | None:
    """Puts the server's data back as they were at `until`, or at the end of what was fetched.

    The server has been stopped, and has ended again afterwards. Answers where its data were put
    aside, if there were any. Raises OpsError; then, or interrupted, they are in their place again.
    """
    if server.is_alive():
        raise OpsError("The database runs: `prm down` first, so that nobody writes meanwhile.")
    base = _newest_before(folder, until)
    tell(f"verifying {base.name} ...")
    _verify(base)
    draft = server.home / "data.restoring"
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(base, draft, symlinks=True)
    _recovering(draft, folder / "wal", until)
    aside = _put_aside(server.cluster)
    draft.rename(server.cluster)
    try:
        tell(f"recovering up to {until.isoformat() if until else 'the end of the log'} ...")
        _recover(server)
    except BaseException:
        server.kill()
        shutil.rmtree(server.cluster)
        if aside:
            aside.rename(server.cluster)
        raise
    return aside


def _newest_before(folder: Path, until: datetime | None) -> Path:
    fitting = [base for at, base in bases(folder) if until is None or at <= until]
    if not fitting:
        begun = ", ".join(at.isoformat() for at, _ in bases(folder)) or "none"
        raise OpsError(f"{folder} holds no backup from before {until}; there are: {begun}.")
    return fitting[-1]


def _recovering(cluster: Path, wal: Path, until: datetime | None) -> None:
    told = RECOVERING.format(wal=wal.absolute())
    if until:
        told += f"recovery_target_time = '{until.isoformat()}'\n"
    with (cluster / "postgresql.auto.conf").open("a") as settings:
        settings.write(told)
    (cluster / "recovery.signal").touch()


def _put_aside(cluster: Path) -> Path | None:
    if not cluster.exists():
        return None
    return cluster.rename(
        cluster.with_name(datetime.now(UTC).strftime("data.before-%Y%m%dT%H%M%SZ"))
    )


def _recover(server: Postgres) -> None:
    """Starts it, waits until it has what it needs and takes writes, and stops it."""
    server.begin()
    if not wait_for(lambda: not server.is_alive() or _takes_writes(server), RECOVERED_WITHIN):
        raise OpsError(f"PostgreSQL recovers longer than {RECOVERED_WITHIN:.0f} s; see its log.")
    if not server.is_alive():
        is_short = "before configured recovery target was reached" in server.said()
        cause = (
            "The log that was fetched does not reach that instant." if is_short else "It failed."
        )
        way_out = "Choose an earlier --until, or leave it out; the data are as they were before."
        raise with_last_lines(cause, server.said(), way_out)
    with psycopg.connect(server.address, autocommit=True) as admin:
        for name in LEFT_OVER:
            admin.execute(f"ALTER SYSTEM RESET {name}".encode())
    server.stop()


def _takes_writes(server: Postgres) -> bool:
    try:
        with psycopg.connect(server.address, connect_timeout=3) as admin:
            return admin.execute("SELECT pg_is_in_recovery()").fetchall() == [(False,)]
    except psycopg.OperationalError:
        return False


def _verify(base: Path) -> None:
    """Every file against the checksums that the server gave with it."""
    done = subprocess.run(
        [binaries() / "pg_verifybackup", "--no-parse-wal", "--quiet", base],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise OpsError(f"{base} is not as it was taken:\n{done.stderr.strip()[-800:]}")


def _command(tool: str, dsn: str, *arguments: str | Path) -> tuple[list[str], dict[str, str]]:
    """With the password in the environment: everybody sees a command line."""
    password = str(conninfo_to_dict(dsn).get("password", ""))
    address = make_conninfo(dsn, password=None, dbname=None)
    told = [str(binaries() / tool), "--no-password", "-d", address]
    return [*told, *map(str, arguments)], {**os.environ, "PGPASSWORD": password}


def _run(tool: str, dsn: str, *arguments: str | Path) -> None:
    command, env = _command(tool, dsn, *arguments)
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OpsError(f"{tool} failed:\n{done.stderr.strip()[-800:]}")
