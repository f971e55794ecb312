"""A restoration in a process that dies on the way: `python -m tests.restoring SETUP STEP`.

`SETUP`: as JSON. The steps are seams of the product, wrapped from outside, as in `crashing`.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import Any

from chassis.consuming.windows import Windows
from chassis.recovery import resuming
from chassis.recovery.restoring import Restoration
from chassis.recovery.resuming import Resumption
from chassis.recovery.runs import Addresses, restore

from .reactions import Sample, Setup


def anything(*_: Any) -> bool:
    return True


def fills(windows: Windows) -> bool:
    """Read models, deadlines and errands; policies have a window of their own."""
    return len(windows._house.subscribers) > 1


# By the name of a step: before which call of what it dies, and at which of those it counts.
STEPS: dict[str, tuple[Any, str, Callable[..., bool], int]] = {
    "before any fact is in": (Restoration, "_flush", anything, 1),
    "once all are in, before the commit": (Restoration, "_end", anything, 1),
    "between the commit and all else": (Resumption, "run", anything, 1),
    "before what was dead is parked again": (Resumption, "_settle", anything, 1),
    "before read models": (Resumption, "_fill", anything, 1),
    "in the middle of read models": (Windows, "settle", fills, 2),
    "before it is noted as ended": (resuming, "end_done", anything, 1),
}


def dies_before(owner: Any, name: str, at: Callable[..., bool], count: int) -> None:
    wrapped, left = getattr(owner, name), count

    @wraps(wrapped)
    async def dying(*given: Any, **named: Any) -> Any:
        nonlocal left
        left -= at(*given[:1])
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return await wrapped(*given, **named)

    setattr(owner, name, dying)


def now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    setup = Setup(*json.loads(sys.argv[1]))
    dies_before(*STEPS[sys.argv[2]])
    at = Addresses(setup.dsn, setup.dsn, setup.bootstrap)
    asyncio.run(restore(at, Sample(setup.run), now))
