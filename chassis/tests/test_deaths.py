"""Workers that are killed, and a fact that kills them."""

import asyncio
import signal
import sys
from asyncio.subprocess import Process
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from .parked import parked
from .reactions import Ordered, Setup, Stranger, journal_of, notes_of, running, until


async def killed_when(setup: Setup, condition: Any) -> None:
    """A worker with its relay in a process of their own, killed when the condition holds."""
    process = await started(setup)
    try:
        await until(condition)
    finally:
        process.kill()
        await process.wait()


async def started(setup: Setup) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import runpy; runpy.run_module('tests.reactions', run_name='__main__')",
        setup.as_json(),
        cwd=Path(__file__).parents[1],
        stderr=asyncio.subprocess.DEVNULL,
    )


async def test_workers_killed_at_any_time_lose_and_double_nothing(
    setup: Setup, orders: Stranger
) -> None:
    ids = [uuid4() for _ in range(10)]
    expected = [str(n) for n in range(30)]

    async def speak() -> None:
        for note in expected:
            for order in ids:
                await orders.say(order, Ordered(note=note))

    speaking = asyncio.create_task(speak())
    for share in (20, 120):
        await killed_when(setup, lambda share=share: len(notes_of(setup.dsn)) >= share)
    await speaking
    async with running(setup.worker()):
        await until(lambda: len(notes_of(setup.dsn)) >= 300 and len(journal_of(setup.dsn)) >= 300)

    assert all(notes_of(setup.dsn, order) == expected for order in ids)
    assert all(journal_of(setup.dsn, order) == expected for order in ids)


@pytest.mark.parametrize(
    ("notes", "at_most"),
    [
        pytest.param(("kill", "first", "later"), 3, id="at the head of its window"),
        # It may die twice with a window that begins before it, and is then the first of its own.
        pytest.param(("first", "kill", "later"), 5, id="behind another"),
    ],
)
async def test_a_fact_that_kills_its_process_is_parked_and_the_others_go_on(
    setup: Setup, orders: Stranger, notes: tuple[str, ...], at_most: int
) -> None:
    for note in notes:
        await orders.say(uuid4(), Ordered(note=note))

    deaths = 0

    def is_over() -> bool:
        return len(notes_of(setup.dsn)) == 2 and ("policies", "failed", "dead") in parked(setup.dsn)

    while not is_over() and deaths < 6:
        process = await started(setup)

        def has_ended(process: Process = process) -> bool:
            return process.returncode is not None or is_over()

        await until(has_ended, within=60)
        deaths += process.returncode == -signal.SIGKILL
        if process.returncode is None:
            process.kill()
            await process.wait()

    assert sorted(notes_of(setup.dsn)) == ["first", "later"]
    assert 3 <= deaths <= at_most
