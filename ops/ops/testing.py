"""Fixtures for the tests of all members: broker, database, platform of their own, on free ports.

Registered by the conftest.py at the root. Without pytest: `with own_backends() as backends`,
`with own_platform() as platform`.
"""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from ops.backends import Backends, choose
from ops.failures import OpsError
from ops.mail.process import LocalMail
from ops.platform import Platform
from ops.registry import SERVICES, Service
from ops.settings import Settings


def own_settings(home: Path) -> Settings:
    """As PRM_BACKEND says, with one difference: addresses in the environment are used only if it
    is env. Somebody's platform may live there.
    """
    given = replace(Settings.read(), home=home, port_offset=0)
    if given.backend == "env":
        return given
    return replace(given, kafka_bootstrap=None, postgres_dsn=None)


def pytest_report_header() -> str:
    """What the broker and the database of this run are, and why."""
    with _temporary_home() as home:
        try:
            return f"broker and database: {choose(own_settings(home), home).why}"
        except OpsError as error:
            return str(error)


@contextmanager
def own_backends() -> Iterator[Backends]:
    """Backends in a temporary home, none started yet, all ended and removed on leaving.

    Whatever happens to the calling thread, nothing outlives it.
    """
    with _temporary_home() as home:
        backends = choose(own_settings(home), home, own_ports=True, bound=True)
        try:
            yield backends
        finally:
            for server in (backends.kafka, backends.postgres):
                server.stop()
                server.discard()


@contextmanager
def own_platform(services: Sequence[Service] = SERVICES) -> Iterator[Platform]:
    """A platform with backends and ports of its own, up and ready; gone on leaving.

    Never at given addresses: its broker and its database may be stopped.
    To be entered in the main thread: all its processes end with the thread that started them.
    """
    with _temporary_home() as home:
        settings = own_settings(home)
        if settings.backend == "env":
            settings = Settings(home, backend="process")
        platform = Platform(settings, services=services, own_ports=True, bound=True)
        try:
            yield platform.up()
        finally:
            platform.clean()


@contextmanager
def _temporary_home() -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="prm-test-"))
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def a_database(admin_dsn: str) -> Iterator[str]:
    """A new empty database; yields its DSN (of the same administrator) and drops it on leaving."""
    name = f"test_{uuid4().hex}"
    with psycopg.connect(admin_dsn, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield make_conninfo(admin_dsn, dbname=name)
    finally:
        with psycopg.connect(admin_dsn, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
            reader = sql.Identifier(f"{name}_reader")  # chassis.testing.served makes one
            admin.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(reader))


@pytest.fixture(scope="session")
def backends() -> Iterator[Backends]:
    with own_backends() as backends:
        yield backends


@pytest.fixture(scope="session")
def postgres_server(backends: Backends) -> str:
    """DSN of an administrator of a running PostgreSQL."""
    return backends.postgres.start()


@pytest.fixture(scope="session")
def kafka_broker(backends: Backends) -> str:
    """Bootstrap server (host:port) of a running broker."""
    return backends.kafka.start()


@pytest.fixture(scope="session")
def mail_server() -> Iterator[LocalMail]:
    """One that keeps what it takes, and does as some addresses ask (see ops.mail.server)."""
    with _temporary_home() as home:
        server = LocalMail(home, bound=True)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture
def fresh_database(postgres_server: str) -> Iterator[str]:
    """DSN of a database that only this test uses."""
    with a_database(postgres_server) as dsn:
        yield dsn
