"""What broker, database and services have in common as local processes: port, start, end."""

import json
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ops import ports, processes
from ops.failures import OpsError, with_last_lines

END_WITHIN = 30.0  # seconds; services drain within 20


class Launch(NamedTuple):
    """How to run it: the command, one that wraps it (a user namespace), what is set around it."""

    command: Sequence[str]
    inside: Sequence[str] = ()
    env: Mapping[str, str] | None = None  # None: the caller's


class LocalServer(ABC):
    """A server below `home`, on the loopback interface, detached; at most one process a home.

    first_port: take the next free from here upward; None: any free one. A second start takes the
    port of the first again if it can, so that clients that wait for the server find it.
    """

    name: str
    patience: float  # seconds from start until it answers, on a busy machine
    end_signal: signal.Signals
    way_out = "`prm clean` begins anew."

    def __init__(self, home: Path, first_port: int | None = None, bound: bool = False) -> None:
        self.home, self.first_port, self.bound = home, first_port, bound
        self.log, self._record = home / "log", home / "pid"
        self._port_file = home / "port"

    def prepare(self) -> None:
        """Makes what the launch needs; repeatable."""
        self.home.mkdir(parents=True, exist_ok=True)

    @abstractmethod
    def launch(self, port: int) -> Launch: ...

    @abstractmethod
    def is_ready(self) -> bool: ...

    @property
    @abstractmethod
    def address(self) -> str:
        """Where it listens, or listened last. Raises OpsError if it never ran."""

    def start(self) -> str:
        """Starts it if it does not run, waits until it answers and returns its address."""
        self.begin()
        self.wait_until_ready()
        return self.address

    def begin(self) -> None:
        """Starts it if it does not run; it may not answer yet."""
        if not self.is_alive():
            self.prepare()
            self.take_port()
            self._start_process()

    def wait_until_ready(self) -> None:
        """Raises OpsError with the end of its log if it ends, or does not answer in time."""
        if wait_for(lambda: not self.is_alive() or self.is_ready(), self.patience):
            if self.is_alive():
                return
            cause = f"{self.name} ended while it was starting."
        else:
            cause = f"{self.name} did not answer within {self.patience:.0f} s{self.why_not_ready()}"
        log = self.log.read_text(errors="replace")
        raise with_last_lines(cause, log, f"Whole log: {self.log}. {self.way_out}")

    def why_not_ready(self) -> str:
        """The end of that sentence."""
        return "."

    def stop(self) -> bool:
        """Lets it end in order; false if it took too long and was killed. Twice does no harm."""
        running = processes.recall(self._record)
        return not running or processes.stop(
            running, with_signal=self.end_signal, patience=END_WITHIN
        )

    def kill(self) -> None:
        """kill -9, as a crash of the machine would."""
        if running := processes.recall(self._record):
            processes.kill(running)

    def is_alive(self) -> bool:
        return processes.recall(self._record) is not None

    @property
    def port(self) -> int:
        try:
            return int(json.loads(self._port_file.read_text()))
        except (OSError, ValueError, TypeError):
            raise OpsError(f"{self.name} has not been started below {self.home}.") from None

    @property
    def has_run(self) -> bool:
        return self._port_file.exists()

    def take_port(self) -> int:
        """Decides and remembers the port of the next start."""
        self.home.mkdir(parents=True, exist_ok=True)
        port = self.port_to_take()
        self._port_file.write_text(json.dumps(port))
        return port

    def port_to_take(self) -> int:
        if self.has_run and ports.is_free(self.port):
            return self.port
        return ports.any_free() if self.first_port is None else ports.next_free(self.first_port)

    def _start_process(self) -> None:
        command, inside, env = self.launch(self.port)
        running = processes.spawn(command, log=self.log, env=env, inside=inside, bound=self.bound)
        processes.remember(self._record, running)


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    """Polls until the condition holds; False if it does not within the time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
