"""Whether this process can do its work, and if not, why."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from chassis.errors import Refusal
from chassis.web.problems import named

Check = Callable[[], Awaitable[Iterable[str]]]


class Health:
    """`checks`: each answers with what keeps the process from working, in words for operators."""

    def __init__(self, *checks: Check) -> None:
        self._checks = list(checks)
        self.is_draining = False

    def add(self, check: Check) -> None:
        self._checks.append(check)

    async def reasons(self) -> list[str]:
        """Empty: ready."""
        found = ["it is being stopped"] if self.is_draining else []
        for answer in await asyncio.gather(*(_asked(check) for check in self._checks)):
            found += answer
        return found


async def _asked(check: Check) -> list[str]:
    try:
        return list(await check())
    except Refusal as away:
        return [named(type(away))[1]]
