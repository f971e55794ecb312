"""The sample service, prepared by an administrator on a real broker and database; its processes."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import httpx2
import psycopg
from psycopg import sql

from chassis.running.admin import Deployed, ServiceAddresses, owned, prepare
from chassis.storage.migrate import grant, grant_reading
from ops.ports import any_free

from .sampled import SERVICE, TABLES, environment

MEMBER = Path(__file__).parents[1]
ROLES_KEY = bytes(32)


@dataclass(frozen=True)
class Deployment:
    """`addresses`: of the service's limited role; `admin_dsn`: of the administrator."""

    admin_dsn: str
    bootstrap: str
    service: Deployed
    key_database: str
    addresses: ServiceAddresses

    def prepare_again(self) -> ServiceAddresses:
        return asyncio.run(
            prepared(self.admin_dsn, self.bootstrap, self.service, self.key_database)
        )


async def prepared(
    admin_dsn: str, bootstrap: str, service: Deployed, key_database: str
) -> ServiceAddresses:
    made = await prepare(
        postgres_admin_dsn=admin_dsn,
        kafka_bootstrap=bootstrap,
        services=[service],
        key_database=key_database,
        roles_key=ROLES_KEY,
    )
    return made[service.name]


@contextmanager
def deployed(admin_dsn: str, bootstrap: str) -> Iterator[Deployment]:
    """Databases and roles under names of their own, dropped on leaving. One a broker: to another
    one's empty store the facts on the topic would say that it was set back.
    """
    suffix = uuid4().hex[:12]
    # contracts have no migrations: the sample's table is made by hand
    service = Deployed("sample", "prm_contracts", f"sample_{suffix}", SERVICE.topics)
    keys = f"keys_{suffix}"
    addresses = asyncio.run(prepared(admin_dsn, bootstrap, service, keys))
    with psycopg.connect(owned(admin_dsn, service.database)) as owner:
        owner.execute(TABLES)
        grant(owner, service.role)
        grant_reading(owner, service.reader)
    yield Deployment(admin_dsn, bootstrap, service, keys, addresses)
    with psycopg.connect(admin_dsn, autocommit=True) as admin:
        for database in (service.database, keys):
            drop = sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database))
            admin.execute(drop)
        for role in (
            service.role,
            service.reader,
            f"{service.database}_owner",
            f"{keys}_owner",
            f"{keys}_erasers",
        ):
            admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


@dataclass(frozen=True)
class Program:
    """What a process runs, and what its environment says beside the settings."""

    module: str = "tests.sampled"
    environment: Mapping[str, str] = field(default_factory=dict)


SAMPLED = Program()


class SampleProcess:
    """Its log is a file: nobody has to read it for the process to go on."""

    def __init__(self, program: Program = SAMPLED, /, **others: str) -> None:
        self.port = int(others.setdefault("service_port", str(any_free())))
        given = environment(others.pop("database_dsn"), **others)
        self._log = tempfile.NamedTemporaryFile("a")  # noqa: SIM115 - closed with the process
        self.process = subprocess.Popen(
            [sys.executable, "-m", program.module],
            cwd=MEMBER,
            env={**os.environ, **given, **program.environment},
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        self.url = f"http://127.0.0.1:{self.port}"

    def until_answers(self, path: str, status: int, within: float = 60) -> httpx2.Response:
        end, said = time.monotonic() + within, ""
        while time.monotonic() < end and self.process.poll() is None:
            try:
                answer = httpx2.get(self.url + path, trust_env=False, timeout=10)
                if answer.status_code == status:
                    return answer
                said = answer.text
            except httpx2.HTTPError as failure:
                said = str(failure)
            time.sleep(0.1)
        raise AssertionError(f"{path} did not answer {status}: {said} {self.ended()[1]}")

    def until_says(self, text: str) -> None:
        """Fails if it ends before it has said so."""
        while text not in self.said():
            assert self.process.poll() is None, self.said()
            time.sleep(0.02)

    def said(self) -> str:
        return Path(self._log.name).read_text()

    def ended(self, within: float = 20) -> tuple[int, str]:
        """Exit code and what it said, after SIGTERM if it still runs."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.waited_for(within)

    def waited_for(self, within: float = 90) -> tuple[int, str]:
        """Exit code and what it said, once it has ended by itself."""
        self.process.wait(within)
        return self.process.returncode, self.said()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._log.close()


@contextmanager
def a_process(program: Program = SAMPLED, /, **others: str) -> Iterator[SampleProcess]:
    process = SampleProcess(program, **{"role": "all", "story": "1"} | others)
    try:
        yield process
    finally:
        process.close()


def started(
    deployment: Deployment, program: Program = SAMPLED, /, **others: str
) -> AbstractContextManager[SampleProcess]:
    """With its API and its worker in one process."""
    given = {
        "database_dsn": deployment.addresses.database_dsn,
        "questions_dsn": deployment.addresses.questions_dsn,
        "keys_dsn": deployment.addresses.keys_dsn,
        "kafka_bootstrap": deployment.bootstrap,
    }
    return a_process(program, **given | others)
