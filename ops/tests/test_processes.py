"""What was started here is reaped here, whenever it ends."""

import os
import signal
from pathlib import Path

import pytest

from ops import processes
from ops.local import wait_for


def test_one_that_ends_while_it_is_looked_at_is_reaped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else Python says at its own end that a subprocess still runs."""
    running = processes.spawn(["sleep", "60"], log=tmp_path / "log")
    child, look = processes._children[running.pid], processes.started_at

    def as_it_ends(pid: int) -> int | None:
        child.terminate()
        assert wait_for(lambda: look(pid) is None, 10)
        return look(pid)

    monkeypatch.setattr(processes, "started_at", as_it_ends)

    assert not running.is_alive()
    assert child.returncode is not None


def test_one_that_was_killed_and_that_nobody_asks_for_is_reaped_with_the_next(
    tmp_path: Path,
) -> None:
    killed = processes.spawn(["sleep", "60"], log=tmp_path / "log")
    child = processes._children[killed.pid]
    os.kill(killed.pid, signal.SIGKILL)
    assert wait_for(lambda: processes.started_at(killed.pid) is None, 10)

    processes.kill(processes.spawn(["sleep", "60"], log=tmp_path / "log"))

    assert child.returncode == -signal.SIGKILL
