"""Fixtures for the tests of all members: a broker and a database of their own, on free ports.

Registered by the conftest.py at the root. Without pytest: `with own_backends() as backends`.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from ops.backends import Backends, choose
from ops.settings import Settings


@contextmanager
def own_backends() -> Iterator[Backends]:
    """Backends in a temporary home, none started yet, all ended and removed on leaving.

    Addresses given in the environment are used instead. Ended by the kernel if the caller dies.
    """
    home = Path(tempfile.mkdtemp(prefix="prm-test-"))
    backends = choose(Settings.read(), home, own_ports=True, bound=True)
    try:
        yield backends
    finally:
        backends.kafka.stop()
        backends.postgres.stop()
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
