"""Three brokers of one cluster on this machine: for tests of what a single one cannot show."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from ops import ports
from ops.backends.kafka import CONFIGURATION, Kafka, a_cluster, brokers
from ops.failures import OpsError
from ops.local import wait_for

SIZE = 3
JVM = ("-Xms128m", "-Xmx256m", *Kafka.jvm[2:])
COMPLETE_WITHIN = 60.0  # seconds


class Node(Kafka):
    """`number`: counts from 1; `places`: client port and controller port of each node."""

    jvm = JVM

    def __init__(
        self, home: Path, number: int, places: dict[int, tuple[int, int]], cluster: str
    ) -> None:
        super().__init__(home, bound=True)
        self.number, self.cluster, self._places = number, cluster, places
        self.name = f"Kafka node {number}"

    def port_to_take(self) -> int:
        return self._places[self.number][0]

    def configured(self, port: int, data: Path) -> str:
        host, (_, controller) = ports.LOOPBACK, self._places[self.number]
        return CONFIGURATION.format(
            host=host,
            listen=host,
            port=port,
            controller=controller,
            data=data,
            node=self.number,
            voters=",".join(f"{at}@{host}:{own}" for at, (_, own) in self._places.items()),
            copies=len(self._places),
        )


class Cluster:
    """`nodes` by their numbers, which are their broker ids as well."""

    def __init__(self, home: Path) -> None:
        places = {at: (ports.any_free(), ports.any_free()) for at in range(1, SIZE + 1)}
        cluster = a_cluster()
        # A node ends with the thread that started it: one that lives as long as the cluster.
        self._starter = ThreadPoolExecutor(1)
        self.nodes = {at: Node(home / f"node-{at}", at, places, cluster) for at in places}

    @property
    def bootstrap(self) -> str:
        return ",".join(node.address for node in self.nodes.values())

    def start(self) -> None:
        """Those that do not run. Returns once each knows all. Raises OpsError."""
        self._starter.submit(self._start).result()

    def _start(self) -> None:
        for node in self.nodes.values():
            node.begin()
        for node in self.nodes.values():
            node.wait_until_ready()
        if not wait_for(self.is_complete, COMPLETE_WITHIN):
            raise OpsError(f"The brokers do not find each other in {COMPLETE_WITHIN:.0f} s.")

    def close(self) -> None:
        for node in self.nodes.values():
            node.kill()
            node.discard()
        self._starter.shutdown()

    def is_complete(self) -> bool:
        return all(brokers(node.address) == SIZE for node in self.nodes.values())


@contextmanager
def a_cluster_below(home: Path) -> Iterator[Cluster]:
    """Running; ended and removed on leaving."""
    cluster = Cluster(home)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()
