"""Broker and database as containers: told the same as the processes, at the same addresses.

A container is made anew at each start and keeps its data in a volume of its own; it goes on
listening at the port that was taken on this machine, inside as outside, so that the address by
which the broker is known holds on both sides. What starts in an image is given here: an image
brings programs only (deploy/images has two; the projects' own ones have the same places).
"""

import secrets
import shlex
import signal
from abc import abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from docker.errors import DockerException, NotFound
from testcontainers.core.container import DockerContainer

from ops import ports
from ops.backends import kafka, postgres
from ops.backends.engine import engine, labels, remove_leftovers
from ops.failures import OpsError
from ops.local import END_WITHIN, LocalServer

KILLED = 137  # exit code of a process that ended by SIGKILL
EVERYWHERE = "0.0.0.0"  # noqa: S104 - in the container; published at the loopback address only
# The engine closes the standard input when the process that attached to it ends, however it ends.
LIFELINE = (
    "exec 3<&0; (cat <&3 >/dev/null; while kill -s {signal} 1; do sleep 1; done) & exec 3<&-\n"
)


# By container, since not only who started it may stop it.
_lifelines: dict[str, Any] = {}


class Container(LocalServer):
    """A container and its volume, of one name, which stands in `home`."""

    MARK = "container"  # the file with its name
    volume_at: PurePosixPath
    user: str | None = None  # the image's

    def __init__(
        self, home: Path, image: str, first_port: int | None = None, bound: bool = False
    ) -> None:
        super().__init__(home, first_port, bound)
        self.image, self._name_file = image, home / self.MARK

    @abstractmethod
    def script(self) -> str:
        """What runs in it, as a shell script that ends in `exec <the server>`."""

    @abstractmethod
    def files(self) -> Mapping[Path, str]:
        """What is put into it before it starts."""

    @property
    def container(self) -> str:
        """Its name and its volume's. Raises OpsError if it never ran."""
        try:
            return self._name_file.read_text()
        except OSError:
            raise OpsError(f"{self.name} has not been started below {self.home}.") from None

    def prepare(self) -> None:
        super().prepare()
        if not self._name_file.exists():
            self._name_file.write_text(f"prm-{self.home.name}-{secrets.token_hex(6)}")
        remove_leftovers()

    def is_alive(self) -> bool:
        """Not while its engine is away."""
        try:
            return self._running() is not None
        except (OpsError, DockerException, OSError):
            return False

    def stop(self) -> bool:
        running = self._running()
        if not running:
            self._let_go()
            return True
        if running.status == "paused":
            running.unpause()
        running.stop(timeout=int(END_WITHIN))
        running.reload()
        self._let_go()
        return bool(running.attrs["State"]["ExitCode"] != KILLED)

    def kill(self) -> None:
        if running := self._running():
            running.kill()
            running.wait(timeout=END_WITHIN)
        self._let_go()

    def freeze(self) -> None:
        engine().containers.get(self.container).pause()

    def thaw(self) -> None:
        engine().containers.get(self.container).unpause()

    def said(self) -> str:
        return str(engine().containers.get(self.container).logs(tail=100).decode(errors="replace"))

    def log_command(self, lines: int, follow: bool) -> list[str]:
        return ["docker", "logs", f"--tail={lines}", *(["-f"] if follow else []), self.container]

    def discard(self) -> None:
        if self._name_file.exists():
            self._remove()
            with suppress(NotFound):
                engine().volumes.get(self.container).remove()
        super().discard()

    def _running(self) -> Any:
        """docker-py's container, or None."""
        found = self._found() if self._name_file.exists() else None
        return found if found and found.status in ("running", "paused") else None

    def _found(self) -> Any:
        try:
            return engine().containers.get(self.container)
        except NotFound:
            return None

    def _remove(self) -> None:
        if found := self._found():
            found.remove(force=True, v=True)

    def _run(self) -> None:
        try:
            self._remove()
            made = self._make()
            made.start()
            made.get_docker_client().client.close()
            if self.bound:
                container = engine().containers.get(self.container)
                lifeline = container.attach_socket(params={"stdin": 1, "stream": 1})
                _lifelines[self.container] = lifeline
        except (DockerException, OSError) as error:
            raise OpsError(
                f"{self.name} cannot be started from the image {self.image}: {error}"
            ) from error

    def _make(self) -> DockerContainer:
        script = LIFELINE.format(signal=self.end_signal.name[3:]) if self.bound else ""
        marks = labels(bound=self.bound)
        engine().volumes.create(self.container, labels=marks)
        container = (
            DockerContainer(self.image)
            .with_name(self.container)
            .with_volume_mapping(self.container, str(self.volume_at), "rw")
            .with_kwargs(
                entrypoint=["sh", "-c", f"{script}set -e\n{self.script()}"],
                labels=marks,
                stdin_open=self.bound,
                stop_signal=self.end_signal.name,
                user=self.user,
                shm_size="256m",
            )
        )
        published: dict[str, Any] = container.ports  # its setters know no address
        published[f"{self.port}/tcp"] = (ports.LOOPBACK, self.port)
        for place, content in self.files().items():
            container.with_copy_into_container(content.encode(), str(place))
        return container

    def _let_go(self) -> None:
        if self._name_file.exists() and (lifeline := _lifelines.pop(self.container, None)):
            lifeline._response.close()  # noqa: SLF001 - docker-py ties the socket to it


class KafkaContainer(Container):
    """An image with `java` on its path and Kafka's jars where Apache's own one has them."""

    name = "Kafka"
    patience = 90
    end_signal = signal.SIGTERM
    volume_at = PurePosixPath("/var/lib/kafka/data")
    configuration = Path("/tmp/server.properties")  # noqa: S108 - in the container

    @property
    def address(self) -> str:
        return f"{ports.LOOPBACK}:{self.port}"

    @property
    def _topics(self) -> Path:
        return Path(self.volume_at / "prm")

    def files(self) -> Mapping[Path, str]:
        told = kafka.properties(self.port, self.port + 1, self._topics, EVERYWHERE)
        return {self.configuration: told}

    def script(self) -> str:
        java = ["java", *kafka.JVM, "-cp", "/opt/kafka/libs/*"]
        make = shlex.join([*java, *kafka.formatting(self.configuration)])
        run = shlex.join([*java, kafka.MAIN, str(self.configuration)])
        return f"[ -f {self._topics}/meta.properties ] || {make}\nexec {run}"

    def is_ready(self) -> bool:
        return ports.keeps(self.port) and kafka.answers_metadata(self.address)


class PostgresContainer(Container):
    """An image with a user `postgres`, its home where Debian has it, and the server on its path."""

    name = "PostgreSQL"
    patience = 60
    end_signal = signal.SIGINT
    volume_at = PurePosixPath("/var/lib/postgresql")
    user = "postgres"
    password = Path("/tmp/password")  # noqa: S108 - in the container

    @property
    def address(self) -> str:
        return postgres.dsn_of(self.home, self.port)

    def prepare(self) -> None:
        super().prepare()
        if not (self.home / "password").exists():
            postgres.new_password(self.home)

    def files(self) -> Mapping[Path, str]:
        return {self.password: (self.home / "password").read_text()}

    def script(self) -> str:
        cluster = Path(self.volume_at / "prm")
        draft = cluster.with_suffix(".new")
        initdb = shlex.join(["initdb", *postgres.initialisation(draft, self.password)])
        run = shlex.join(["postgres", *postgres.arguments(cluster, self.port, EVERYWHERE)])
        return f"""\
if [ ! -d {cluster} ]; then
  rm -rf {draft}
  if [ "$(postgres -V | tr -dc '0-9.' | cut -d. -f1)" -ge {postgres.BUILTIN_LOCALES_SINCE} ]
  then set -- {shlex.join(postgres.LOCALE)}
  else set -- {shlex.join(postgres.LIBC_LOCALE)}
  fi
  {initdb} "$@"
  echo 'host all all all scram-sha-256' >> {draft}/pg_hba.conf
  mv {draft} {cluster}
fi
exec {run}"""

    def is_ready(self) -> bool:
        return postgres.answers_queries(self.address)
