"""The read models of a platform's services: listed, filled anew, compared with the log."""

from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any, TypeVar

import psycopg
from aiokafka.errors import KafkaError

from chassis.consuming.reading import HoleInTopic
from chassis.rebuilding import rebuild as rebuilding
from chassis.rebuilding.rebuild import Differs, Listed, Verdict
from chassis.rebuilding.source import RebuildRefused
from chassis.running.admin import owned
from chassis.running.service import Service
from ops.admin import database_of
from ops.apart import apart
from ops.failures import OpsError
from ops.platform import Platform, Tell

T = TypeVar("T")
AWAY = (psycopg.Error, KafkaError, OSError, TimeoutError)


@dataclass(frozen=True)
class ReadModels:
    """Of one service, at its database as the owner. Every method raises OpsError."""

    service: Service
    dsn: str
    bootstrap: str

    @staticmethod
    def of(platform: Platform, name: str) -> "ReadModels":
        kafka, postgres = platform.backends_up()
        if kafka is None or postgres is None:
            raise OpsError("Broker and database must run: `make up` starts them.")
        service = platform.service(name)
        definition = import_module(f"{service.package}.main").SERVICE
        return ReadModels(definition, owned(postgres, database_of(service)), kafka)

    def listed(self) -> list[Listed]:
        try:
            return rebuilding.listed(self.service, self.dsn)
        except psycopg.Error as away:
            raise OpsError(f"Its database cannot be read: {away}") from away

    def rebuild(self, name: str, *, accepts_differences: bool, tell: Tell) -> Verdict:
        """Raises OpsError, with the differences if those are why."""
        try:
            return self._run(
                name, rebuilding.rebuild, tell, accepts_differences=accepts_differences
            )
        except Differs as differs:
            raise OpsError(
                f"{name} stays as it is, for what its log says differs:\n{differs}\n"
                "If a change of the code, or a fault that this repairs, explains that:"
                f" `prm rebuild {self.service.name} {name} --accept-differences`."
            ) from differs

    def verify(self, name: str, tell: Tell) -> Verdict:
        return self._run(name, rebuilding.verify, tell)

    def verify_all(self, tell: Tell) -> list[Verdict]:
        return [self.verify(each.name, tell) for each in self.listed()]

    def _run(
        self, name: str, work: Callable[..., Coroutine[Any, Any, T]], tell: Tell, **how: Any
    ) -> T:
        try:
            return apart(
                work(self.service, name, dsn=self.dsn, bootstrap=self.bootstrap, tell=tell, **how)
            )
        except Differs:
            raise
        except (RebuildRefused, HoleInTopic) as refusal:
            rule = " ".join((type(refusal).__doc__ or "").split())
            raise OpsError(f"{rule} ({refusal})") from refusal
        except AWAY as away:
            raise OpsError(
                f"{name} is as it was; run it again: {type(away).__name__} {away}"
            ) from away


def as_document(verdicts: list[Verdict]) -> list[dict[str, Any]]:
    return [asdict(verdict) | {"is_equal": verdict.is_equal} for verdict in verdicts]
