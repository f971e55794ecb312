"""Broker and database: addresses that are given, containers, or local processes; one interface."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from ops.backends.choice import Choice, decide
from ops.backends.containers import Container, KafkaContainer, PostgresContainer
from ops.backends.engine import obstacle
from ops.backends.kafka import Kafka, answers_metadata
from ops.backends.postgres import Postgres, answers_queries
from ops.failures import OpsError
from ops.local import LocalServer
from ops.settings import Kind, Settings
from ops.show import without_password

KAFKA_PORT, POSTGRES_PORT = 9092, 5432
SHOWN = {"docker": "containers", "process": "local processes"}


@dataclass(frozen=True)
class Given:
    """A backend that somebody else runs: an address, nothing to start, stop or remove."""

    address: str
    variable: str
    answers: Callable[[str], bool]

    def start(self) -> str:
        """Raises OpsError if nobody answers there."""
        if not self.answers(self.address):
            raise OpsError(f"{self.variable}={without_password(self.address)}: no answer there.")
        return self.address

    def stop(self) -> bool:
        return True

    def discard(self) -> None: ...

    def is_alive(self) -> bool:
        return True


@dataclass(frozen=True)
class Backends:
    kafka: LocalServer | Given
    postgres: LocalServer | Given
    why: str  # it is these, in one line


def choose(
    settings: Settings, home: Path, *, own_ports: bool = False, bound: bool = False
) -> Backends:
    """The backends by PRM_BACKEND. Raises OpsError if what it asks for cannot be had.

    own_ports: any free port instead of the next from 9092 and 5432; bound: see LocalServer.
    """
    kafka, dsn = settings.kafka_bootstrap, settings.postgres_dsn
    if settings.backend in get_args(Kind):
        kafka = dsn = None
    if kafka and dsn:
        return Backends(_broker_at(kafka), _database_at(dsn), "given addresses")
    if settings.backend == "env":
        raise OpsError("PRM_BACKEND=env needs PRM_KAFKA_BOOTSTRAP and PRM_POSTGRES_DSN.")
    choice = _choice(settings, home)
    first = (None, None) if own_ports else (KAFKA_PORT, POSTGRES_PORT)
    own_kafka, own_postgres = servers_of(choice.kind, settings, home, first, bound=bound)
    return Backends(
        _broker_at(kafka) if kafka else own_kafka,
        _database_at(dsn) if dsn else own_postgres,
        f"{SHOWN[choice.kind]} ({choice.why})",
    )


def servers_of(
    kind: Kind,
    settings: Settings,
    home: Path,
    first: tuple[int | None, int | None] = (None, None),
    *,
    bound: bool = False,
) -> tuple[LocalServer, LocalServer]:
    """Broker and database of this home; first: the ports to begin with."""
    kafka, postgres = home / "kafka", home / "postgres"
    if kind == "docker":
        return (
            KafkaContainer(kafka, settings.kafka_image, first[0], bound),
            PostgresContainer(postgres, settings.postgres_image, first[1], bound),
        )
    return Kafka(kafka, first[0], bound), Postgres(postgres, first[1], bound)


def kept(home: Path) -> Kind | None:
    """What the data of this home lie in; None if it has none."""
    servers = [home / "kafka", home / "postgres"]
    if any((server / Container.MARK).exists() for server in servers):
        return "docker"
    return "process" if any((server / "data").exists() for server in servers) else None


def _choice(settings: Settings, home: Path) -> Choice:
    images = settings.kafka_image, settings.postgres_image
    return decide(settings.backend, kept(home), lambda within: obstacle(images, within))


def _broker_at(bootstrap: str) -> Given:
    return Given(bootstrap, "PRM_KAFKA_BOOTSTRAP", answers_metadata)


def _database_at(dsn: str) -> Given:
    return Given(dsn, "PRM_POSTGRES_DSN", answers_queries)
