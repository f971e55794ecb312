"""A platform on this machine: backends, the administrator's step, services; up, watched, down.

Used by the command line, by tests and by benches alike.
"""

import fcntl
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from ops import admin, ports
from ops.backends import Backends, choose, kept, servers_of
from ops.backends.kafka import Kafka
from ops.backends.postgres import Postgres
from ops.client import Client
from ops.failures import OpsError
from ops.local import LocalServer
from ops.mail.process import FIRST_PORT as MAIL_PORT
from ops.mail.process import LocalMail
from ops.registry import SERVICES, Service
from ops.service_process import ServiceProcess
from ops.settings import Settings
from ops.state import State

Tell = Callable[[str], None]
OWN_ENTRIES = ("kafka", "mail", "postgres", "services", "state.json")


def silently(_: str) -> None:
    """Tells nobody."""


@dataclass(frozen=True)
class ServiceStatus:
    """lag: facts behind, over all topics that it consumes; None if it cannot say."""

    url: str | None
    ready: bool
    lag: int | None
    reasons: tuple[str, ...]


class Platform:
    """What lives below a home directory, whether it runs or not.

    own_ports: free ports instead of the known ones; bound: ends with the calling thread. Both are
    for tests and benches, beside the platform of the same machine.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        services: Sequence[Service] = SERVICES,
        own_ports: bool = False,
        bound: bool = False,
    ) -> None:
        self.settings, self.home = settings, settings.home
        self.state = State.read(self.home) or State()
        self._own_ports, self._bound = own_ports, bound
        mail_port = None if own_ports else MAIL_PORT + settings.port_offset
        self.mail = LocalMail(self.home / "mail", mail_port, bound)
        self.services = {
            service.name: ServiceProcess(
                service,
                self.home / "services" / service.name,
                self.state,
                None if own_ports else service.port + settings.port_offset,
                bound,
            )
            for service in services
        }
        self.client = Client(self.state)

    @cached_property
    def backends(self) -> Backends:
        """Chosen when they are needed: it may take a look at a Docker engine."""
        return choose(self.settings, self.home, own_ports=self._own_ports, bound=self._bound)

    def up(self, *, story: bool = True, tell: Tell = silently) -> "Platform":
        """Starts what does not run and waits until all is ready. Repeatable.

        tell gets one line a step. Raises OpsError naming what failed and the way out; what runs by
        then goes on.
        """
        with self.alone():
            begun = time.monotonic()
            self._take_ports()
            self.state.story = story
            self.state.write(self.home)
            self._start_backends(tell)
            self._start_mail(tell)
            with _step("topics, databases, migrations", tell):
                services = [process.service for process in self.services.values()]
                self.state.addresses = admin.prepare(self.state, services)
            self.state.write(self.home)
            for process in self.services.values():
                process.begin()
            for name, process in self.services.items():
                with _step(f"{name} at {process.address}", tell):
                    process.wait_until_ready()
            tell(f"ready after {time.monotonic() - begun:.1f} s")
        return self

    def down(self, tell: Tell = silently) -> None:
        """Ends the services, then the backends that were started here; the data stay."""
        with self.alone():
            _stop_all(list(self.services.values()), tell)
            # whatever the environment says today: what was started here is ended here
            _stop_all([*(local for _, local in self._addresses()), self.mail], tell)

    def clean(self, tell: Tell = silently) -> None:
        """Ends everything and removes its data. Secrets stay while they open data elsewhere."""
        self.down(tell)
        elsewhere = [
            address
            for address, local in self._addresses()
            if address and not _is_at(local, address)
        ]
        for _, local in self._addresses():
            local.discard()
        for name in OWN_ENTRIES:
            entry = self.home / name
            if entry.is_dir():
                shutil.rmtree(entry)
            elif not elsewhere:
                entry.unlink(missing_ok=True)
        if elsewhere:
            tell("Topics and databases at given addresses stay, and the secrets that open them.")

    def start_service(self, name: str) -> None:
        """Starts it and waits until it is ready."""
        self._service(name).start()

    def restart_service(self, name: str) -> None:
        """Its API answers on meanwhile. Raises OpsError if the old process must go on."""
        with self.alone():
            self._service(name).replace()

    @contextmanager
    def without(self, name: str, meanwhile: Callable[[], object]) -> Iterator[None]:
        """While it is stopped; its database and topics are there, even if they were not before.

        `meanwhile` is done before they are made. It is started again afterwards; if anything
        fails, only if it ran before.
        """
        with self.alone():
            process = self._service(name)
            did_run = process.is_alive()
            process.stop()
            try:
                meanwhile()
                services = [each.service for each in self.services.values()]
                self.state.addresses = admin.prepare(self.state, services)
                self.state.write(self.home)
                yield
            except BaseException:
                if did_run:
                    process.begin()
                raise
            process.start()

    def service(self, name: str) -> Service:
        """Raises OpsError, if there is none."""
        return self._service(name).service

    def stop_service(self, name: str) -> None:
        self._service(name).stop()

    def kill_service(self, name: str) -> None:
        """kill -9."""
        self._service(name).kill()

    def url(self, service: str) -> str:
        return self._service(service).address

    def log_command(self, name: str, lines: int, follow: bool) -> list[str]:
        """Shows the log of a service, kafka, mail or postgres. Raises OpsError if there is none."""
        kafka, postgres = self._local()
        others = {"kafka": kafka, "mail": self.mail, "postgres": postgres}
        return (others.get(name) or self._service(name)).log_command(lines, follow)

    def backends_up(self) -> tuple[str | None, str | None]:
        """Bootstrap server and DSN; None for what was started here and does not run."""
        kafka, postgres = (
            address if address and (local.is_alive() or not _is_at(local, address)) else None
            for address, local in self._addresses()
        )
        return kafka, postgres

    def _addresses(self) -> tuple[tuple[str | None, LocalServer], ...]:
        """What is used, and what would run here."""
        kafka, postgres = self._local()
        return (self.state.kafka, kafka), (self.state.postgres, postgres)

    def _local(self) -> tuple[LocalServer, LocalServer]:
        return servers_of(kept(self.home) or "process", self.settings, self.home)

    def own_postgres(self) -> Postgres:
        """The database that runs here as a process. Raises OpsError if another one is used."""
        postgres = self._local()[1]
        if not isinstance(postgres, Postgres) or not postgres.has_run:
            raise OpsError(
                "The database does not run here as a process: docs/runbooks/backup.md says how to"
                " bring back another one."
            )
        return postgres

    def is_up(self) -> bool:
        return any(process.is_alive() for process in self.services.values())

    def status(self) -> dict[str, ServiceStatus]:
        with ThreadPoolExecutor() as pool:
            return dict(zip(self.services, pool.map(self._status_of, self.services), strict=True))

    def _status_of(self, name: str) -> ServiceStatus:
        process, url = self.services[name], self.state.urls.get(name)
        if not process.is_alive():
            return ServiceStatus(url, False, None, ("not running",))
        ready, reasons = process.readiness()
        try:
            lag = self.client.state_of(name)["lag"]
        except OpsError as error:
            return ServiceStatus(url, ready, None, (*reasons, f"lag unknown: {error}"))
        known = isinstance(lag, int) and lag >= 0  # not while the broker is away
        return ServiceStatus(url, ready, lag if known else None, tuple(reasons))

    def _service(self, name: str) -> ServiceProcess:
        if name not in self.services:
            raise OpsError(f"There is no {name} here: it may be {', '.join(self.services)}.")
        return self.services[name]

    def _take_ports(self) -> None:
        """Before anything starts: all services' ports are free, and their addresses known."""
        waiting = [process for process in self.services.values() if not process.is_alive()]
        occupied = [
            f"  {process.name} needs port {port}, held by {ports.holder_of(port)}"
            for process in waiting
            if not ports.is_free(port := process.port_to_take())
        ]
        if occupied:
            raise OpsError(
                "\n".join(["Ports are occupied:", *occupied])
                + "\n  End them, or set PRM_PORT_OFFSET (e.g. 100) to shift all services' ports."
            )
        for process in waiting:
            process.take_port()
        self.state.urls.update({name: it.address for name, it in self.services.items()})

    def _start_backends(self, tell: Tell) -> None:
        kafka, postgres = self.backends.kafka, self.backends.postgres
        tell(f"broker and database: {self.backends.why}")
        with _step("PostgreSQL", tell):
            self.state.postgres = postgres.start()
        if isinstance(kafka, Kafka) and kafka.must_be_fetched:
            tell("fetching Apache Kafka with Maven, this once (about 50 MB) ...")
        with _step("Kafka", tell):
            self.state.kafka = kafka.start()

    def _start_mail(self, tell: Tell) -> None:
        """Unless the environment names a mail server, which tests and benches pass over."""
        if self.settings.smtp_host and self.settings.backend != "process":
            self.state.mail = None
            return
        with _step("mail server", tell):
            self.state.mail = self.mail.start()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One command at a time changes a home."""
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.home / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise OpsError(f"Another command is changing {self.home}: let it end.") from None
            yield


def _is_at(local: LocalServer, address: str) -> bool:
    return local.has_run and local.address == address


@contextmanager
def _step(what: str, tell: Tell) -> Iterator[None]:
    """Tells what was done and how long it took."""
    begun = time.monotonic()
    yield
    tell(f"{what:<48} {time.monotonic() - begun:5.1f} s")


def _stop_all(servers: Sequence[LocalServer], tell: Tell) -> None:
    """All at once: each may take its time to drain."""
    alive = [server for server in servers if server.is_alive()]
    with ThreadPoolExecutor() as pool:
        for server, in_order in zip(alive, pool.map(lambda it: it.stop(), alive), strict=True):
            tell(
                f"{server.name} {'stopped' if in_order else 'was killed: it did not end by itself'}"
            )
