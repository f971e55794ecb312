"""Broker and database: addresses that are given, or local processes; the same for all callers."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ops.backends.kafka import Kafka, answers_metadata
from ops.backends.postgres import Postgres, answers_queries
from ops.failures import OpsError
from ops.settings import Settings
from ops.show import without_password

KAFKA_PORT, POSTGRES_PORT = 9092, 5432


@dataclass(frozen=True)
class Given:
    """A backend that somebody else runs: an address, nothing to start or stop."""

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

    def is_alive(self) -> bool:
        return True


@dataclass(frozen=True)
class Backends:
    kafka: Kafka | Given
    postgres: Postgres | Given


def choose(
    settings: Settings, home: Path, *, own_ports: bool = False, bound: bool = False
) -> Backends:
    """The backends by PRM_BACKEND: env (both addresses given), process, auto (given, else process).

    own_ports: any free port instead of the next from 9092 and 5432; bound: see processes.spawn.
    """
    kafka, dsn = settings.kafka_bootstrap, settings.postgres_dsn
    if settings.backend == "process":
        kafka = dsn = None
    if settings.backend == "env" and not (kafka and dsn):
        raise OpsError("PRM_BACKEND=env needs PRM_KAFKA_BOOTSTRAP and PRM_POSTGRES_DSN.")
    first_kafka, first_postgres = (None, None) if own_ports else (KAFKA_PORT, POSTGRES_PORT)
    return Backends(
        Given(kafka, "PRM_KAFKA_BOOTSTRAP", answers_metadata)
        if kafka
        else Kafka(home / "kafka", first_kafka, bound),
        Given(dsn, "PRM_POSTGRES_DSN", answers_queries)
        if dsn
        else Postgres(home / "postgres", first_postgres, bound),
    )
