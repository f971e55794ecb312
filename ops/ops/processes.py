"""Detached local processes: started once, found again by later commands, ended for certain.

What is running stands in a record beside its log: process id, when the kernel says it started, and
the boot. A record left by a crash or a reboot therefore never names a stranger's process.
"""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

# Those started by this very process must be reaped by it, else they stay as zombies.
_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True)
class Running:
    """A process as it was when it was started."""

    pid: int
    started: int  # clock ticks since boot
    boot: str

    def is_alive(self) -> bool:
        is_there = started_at(self.pid) == self.started and _boot() == self.boot
        if not is_there and (child := _children.get(self.pid)):
            child.poll()  # after the look: one that ended between would never be reaped
        return is_there


def spawn(
    command: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    inside: Sequence[str] = (),
    bound: bool = False,
) -> Running:
    """Starts a process in its own session, all three streams away from the caller's.

    log: begun anew, the one of the run before beside it as `.old`; its folder is where it works.
    inside: a command that runs the other one in its own surroundings (a user namespace).
    bound: the kernel ends it when the calling thread ends, however that happens (tests, benches);
    set inside, since entering a namespace forgets it.
    """
    _reap()
    tie = ["setpriv", "--pdeathsig", "KILL", "--"] if bound and shutil.which("setpriv") else []
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists():
        log.replace(log.with_suffix(".old"))
    with log.open("ab") as out:
        child = subprocess.Popen(
            [*inside, *tie, *command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=None if env is None else dict(env),
            cwd=log.parent,
            start_new_session=True,
        )
    _children[child.pid] = child
    return Running(child.pid, started_at(child.pid) or 0, _boot())


def _reap() -> None:
    """Those that were killed by somebody else, and that nobody has asked for since."""
    for child in [*_children.values()]:
        if child.poll() is not None:
            _children.pop(child.pid, None)


def this() -> Running:
    """The calling process."""
    return Running(os.getpid(), started_at(os.getpid()) or 0, _boot())


def remember(record: Path, running: Running) -> None:
    """Written beside and renamed: a crash leaves the old record or the new one."""
    record.parent.mkdir(parents=True, exist_ok=True)
    draft = record.with_suffix(".new")
    draft.write_text(json.dumps(asdict(running)))
    draft.replace(record)


def recall(record: Path) -> Running | None:
    """The recorded process if it lives, else None."""
    try:
        running = Running(**json.loads(record.read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return running if running.is_alive() else None


def stop(running: Running, *, with_signal: signal.Signals, patience: float) -> bool:
    """Asks it to end; kills it after `patience` seconds. True if it ended by itself."""
    send(running, with_signal)
    if _gone_within(running, patience):
        return True
    kill(running)
    return False


def kill(running: Running) -> None:
    """Ends it and its children as a crash would; returns when all are gone."""
    family = [running, *children_of(running)]
    for one in family:
        send(one, signal.SIGKILL)
    for one in family:
        _gone_within(one, 10)


def children_of(running: Running) -> list[Running]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        fields = _stat(int(stat.parent.name))
        if fields and int(fields[1]) == running.pid:
            found.append(Running(int(stat.parent.name), int(fields[19]), running.boot))
    return found


def started_at(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None if there is none (or a zombie)."""
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] not in "ZX" else None


def _stat(pid: int) -> list[str] | None:
    """/proc/<pid>/stat after the command's name (which may hold anything): state, parent, ..."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, UnicodeDecodeError):
        return None


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def send(running: Running, what: signal.Signals) -> None:
    if running.is_alive():
        with suppress(ProcessLookupError):
            os.kill(running.pid, what)


def _gone_within(running: Running, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while running.is_alive():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    if child := _children.pop(running.pid, None):
        child.wait()
    return True
