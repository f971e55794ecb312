"""The broker as a local process: Apache Kafka, one KRaft node, from its Maven artifacts."""

import base64
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import signal
import subprocess
from pathlib import Path

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from ops import ports, settings
from ops.apart import apart
from ops.failures import OpsError
from ops.local import Launch, LocalProcess

POM = settings.CHECKOUT / "ops" / "kafka" / "pom.xml"
OLDEST_JAVA = 17
# Small heap and a plain collector: ready in seconds, about 200 MiB.
JVM = (
    *("-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)
MAIN = "kafka.Kafka"
CONFIGURATION = """\
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
listeners=PLAINTEXT://{listen}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
# Topics are made by the admin step, are kept for ever and take facts of up to 256 KiB with room.
auto.create.topics.enable=false
log.retention.ms=-1
message.max.bytes=2097152
replica.fetch.max.bytes=2097152
# A few groups, small memory.
offsets.topic.replication.factor={copies}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor={copies}
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
# After a crash the node waits until its own former session has run out: 3 s instead of 9.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.cleaner.dedupe.buffer.size=8388608
num.network.threads=2
num.io.threads=4
background.threads=2
"""


class Kafka(LocalProcess):
    """Apache Kafka below `home`; the address is a bootstrap server, host:port."""

    name = "Kafka"
    patience = 90
    end_signal = signal.SIGTERM
    jvm = JVM
    cluster: str | None = None  # its id; None: one of its own

    @property
    def address(self) -> str:
        return f"{ports.LOOPBACK}:{self.port}"

    def prepare(self) -> None:
        super().prepare()
        _java()
        libraries()

    def launch(self, port: int) -> Launch:
        data, configuration = self.home / "data", self.home / "server.properties"
        configuration.write_text(self.configured(port, data))
        java = [_java(), *self.jvm, "-cp", f"{libraries()}/*"]
        if not (data / "meta.properties").exists():
            _format([*java, *formatting(configuration, self.cluster)])
        return Launch([*java, MAIN, str(configuration)])

    def configured(self, port: int, data: Path) -> str:
        return properties(port, ports.any_free(), data)

    def is_ready(self) -> bool:
        return ports.answers(self.port) and answers_metadata(self.address)

    @property
    def must_be_fetched(self) -> bool:
        """Whether a start takes longer this once: about 50 MB come over the network."""
        return not _cached().exists()


def properties(port: int, controller: int, data: Path, listen: str = ports.LOOPBACK) -> str:
    """The broker's configuration; it is known at the loopback address, wherever it listens."""
    return CONFIGURATION.format(
        host=ports.LOOPBACK,
        listen=listen,
        port=port,
        controller=controller,
        data=data,
        node=1,
        voters=f"1@{ports.LOOPBACK}:{controller}",
        copies=1,
    )


def formatting(configuration: Path, cluster: str | None = None) -> list[str]:
    """What Java is told to make a data directory, also one that was left half made."""
    told = ["kafka.tools.StorageTool", "format", "-c", str(configuration)]
    return [*told, "--ignore-formatted", "--cluster-id", cluster or a_cluster()]


def a_cluster() -> str:
    """A new id: 16 bytes in base64; the fixed ones keep it from looking like an option (-...)."""
    return base64.urlsafe_b64encode(b"prm" + secrets.token_bytes(13)).decode().rstrip("=")


def _format(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OpsError(f"Kafka's data directory cannot be formatted:\n{done.stderr.strip()}")


def answers_metadata(bootstrap: str) -> bool:
    """Whether a broker names itself."""
    return brokers(bootstrap) > 0


def brokers(bootstrap: str) -> int:
    """How many are named there; 0: nobody answers."""
    return apart(_brokers(bootstrap))


async def _brokers(bootstrap: str) -> int:
    client = AIOKafkaClient(bootstrap_servers=bootstrap, request_timeout_ms=3000)
    try:
        await client.bootstrap()
        return len(client.cluster.brokers())
    except (KafkaError, OSError):
        return 0
    finally:
        await client.close()


def _java() -> str:
    """The Java to use. Raises OpsError unless it is new enough."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin" if home else None)
    if java:
        banner = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
        version = re.search(r'version "(\d+)', banner.stderr)
        if version and int(version[1]) >= OLDEST_JAVA:
            return java
    raise OpsError(
        f"Kafka needs Java {OLDEST_JAVA} or newer; found {java or 'none'} (JAVA_HOME, then PATH). "
        "Install one, or give a broker's address in PRM_KAFKA_BOOTSTRAP."
    )


def _cached() -> Path:
    return settings.cache() / f"kafka-{hashlib.sha256(POM.read_bytes()).hexdigest()[:12]}"


def libraries() -> Path:
    """Kafka's jars, copied once a pom.xml into the cache; Maven fetches what it lacks."""
    target = _cached()
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test runs side by side: one fetches, the others wait
        if not target.exists():
            _fetch(target)
    return target


def _fetch(target: Path) -> None:
    maven = shutil.which("mvn")
    if not maven:
        raise OpsError("Kafka is fetched with Maven: install it, or set PRM_KAFKA_BOOTSTRAP.")
    draft = target.with_suffix(".new")
    shutil.rmtree(draft, ignore_errors=True)
    command = [maven, "-B", "-q", "-f", str(POM), "dependency:copy-dependencies"]
    command.append(f"-DoutputDirectory={draft}")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[:15])
        raise OpsError(f"Maven could not fetch Kafka:\n{said}\n  Is there a network?")
    draft.rename(target)
