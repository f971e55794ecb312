"""What broker, database and services of this machine have in common: port, start, end."""

import json
import shutil
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
    """A server of `home`, on the loopback interface, detached; at most one a home.

    first_port: take the next free from here upward; None: any free one. A second start takes the
    port of the first again if it can, so that clients that wait for the server find it.
    bound: it ends with its starter, however that happens (tests, benches).
    """

    name: str
    patience: float  # seconds from start until it answers, on a busy machine
    end_signal: signal.Signals
    way_out = "`prm clean` begins anew."

    def __init__(self, home: Path, first_port: int | None = None, bound: bool = False) -> None:
        self.home, self.first_port, self.bound = home, first_port, bound
        self._port_file = home / "port"

    def prepare(self) -> None:
        """Makes what the start needs; repeatable."""
        self.home.mkdir(parents=True, exist_ok=True)

    @abstractmethod
    def is_ready(self) -> bool: ...

    @property
    @abstractmethod
    def address(self) -> str:
        """Where it listens, or listened last. Raises OpsError if it never ran."""

    @abstractmethod
    def is_alive(self) -> bool: ...

    @abstractmethod
    def stop(self) -> bool:
        """Lets it end in order; false if it took too long and was killed. Twice does no harm."""

    @abstractmethod
    def kill(self) -> None:
        """kill -9, as a crash of the machine would."""

    @abstractmethod
    def freeze(self) -> None:
        """It keeps its connections and answers nothing, until thawed."""

    @abstractmethod
    def thaw(self) -> None: ...

    @abstractmethod
    def said(self) -> str:
        """The end of its log."""

    @abstractmethod
    def log_command(self, lines: int, follow: bool) -> list[str]:
        """The command that shows its log. Raises OpsError if there is none."""

    @abstractmethod
    def _run(self) -> None:
        """At the port that was taken."""

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
            self._run()

    def wait_until_ready(self) -> None:
        """Raises OpsError with the end of its log if it ends, or does not answer in time."""
        if wait_for(lambda: not self.is_alive() or self.is_ready(), self.patience):
            if self.is_alive():
                return
            cause = f"{self.name} ended while it was starting."
        else:
            cause = f"{self.name} did not answer within {self.patience:.0f} s{self.why_not_ready()}"
        log = " ".join(self.log_command(1000, False))
        raise with_last_lines(cause, self.said(), f"More of it: `{log}`. {self.way_out}")

    def why_not_ready(self) -> str:
        """The end of that sentence."""
        return "."

    def discard(self) -> None:
        """Removes its data; it has ended."""
        if self.home.exists():
            shutil.rmtree(self.home)

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


class LocalProcess(LocalServer):
    """As a process of this machine, with its log and its data below `home`."""

    def __init__(self, home: Path, first_port: int | None = None, bound: bool = False) -> None:
        super().__init__(home, first_port, bound)
        self.log, self._record = home / "log", home / "pid"

    @abstractmethod
    def launch(self, port: int) -> Launch: ...

    def is_alive(self) -> bool:
        return processes.recall(self._record) is not None

    def stop(self) -> bool:
        running = processes.recall(self._record)
        return not running or processes.stop(
            running, with_signal=self.end_signal, patience=END_WITHIN
        )

    def kill(self) -> None:
        if running := processes.recall(self._record):
            processes.kill(running)

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def log_command(self, lines: int, follow: bool) -> list[str]:
        if not self.log.exists():
            raise OpsError(f"{self.name} has not written a log below {self.home}.")
        return ["tail", f"-n{lines}", *(["-F"] if follow else []), str(self.log)]

    def _signal(self, what: signal.Signals) -> None:
        running = processes.recall(self._record)
        if not running:
            raise OpsError(f"{self.name} does not run below {self.home}.")
        processes.send(running, what)

    def _run(self) -> None:
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
