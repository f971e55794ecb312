"""Fixtures for the tests of all members: broker, database, platform of their own, on free ports.

Registered by the conftest.py at the root. Without pytest: `with own_backends() as backends`,
`with own_platform() as platform`.
"""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from ops.backends import Backends, choose
from ops.platform import Platform
from ops.registry import SERVICES, Service
from ops.settings import Settings


@contextmanager
def own_backends() -> Iterator[Backends]:
    """Backends in a temporary home, none started yet, all ended and removed on leaving.

    Addresses in the environment are used only if PRM_BACKEND=env says so: somebody's platform may
    live there. Whatever happens to the calling thread, nothing outlives it.
    """
    given = Settings.read()
    with _temporary_home() as home:
        settings = given if given.backend == "env" else Settings(home, backend="process")
        backends = choose(settings, home, own_ports=True, bound=True)
        try:
            yield backends
        finally:
            backends.kafka.stop()
            backends.postgres.stop()


@contextmanager
def own_platform(services: Sequence[Service] = SERVICES) -> Iterator[Platform]:
    """A platform with backends and ports of its own, up and ready; gone on leaving.

    To be entered in the main thread: all its processes end with the thread that started them.
    """
    with _temporary_home() as home:
        settings = Settings(home, backend="process")
        platform = Platform(settings, services=services, own_ports=True, bound=True)
        try:
            yield platform.up()
        finally:
            platform.down()


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


@pytest.fixture
def fresh_database(postgres_server: str) -> Iterator[str]:
    """DSN of a database that only this test uses."""
    with a_database(postgres_server) as dsn:
        yield dsn
