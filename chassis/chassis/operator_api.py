"""What every service offers its operators: health, state, the story's clock, dead letters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Protocol
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import AwareDatetime, BaseModel

from chassis.clock import StoryClock, StoryClockRefused
from chassis.errors import NotFound, Unavailable
from chassis.health import Health
from chassis.http import Ports, allowed
from chassis.identity import OPERATOR
from prm_contracts.facts import Value

OPERATORS = allowed(OPERATOR)


class NoWorkerHere(Unavailable):
    """This process answers HTTP only: ask one of the service's workers."""


@dataclass(eq=False)
class DeadLetterNotFound(NotFound):
    """There is no such dead letter: list them to see which there are."""


class Work(Protocol):
    """What a worker tells its operators, and does for them."""

    async def state(self) -> Mapping[str, int]:
        """head, published, lag, parked, dead: facts."""

    async def next_due(self) -> datetime | None: ...

    async def fire_due(self, until: datetime) -> None:
        """This service's deadlines, in order of due time; returns when they are done."""

    async def dead_letters(self, state: str | None, limit: int) -> Sequence[Mapping[str, Any]]: ...

    async def dead_letter(self, letter_id: UUID) -> Mapping[str, Any] | None: ...

    async def redrive(self, letter_id: UUID) -> bool: ...

    async def discard(self, letter_id: UUID) -> bool:
        """False: there is no such letter."""


class AdvanceClock(Value):
    advance_to: AwareDatetime


class ClockShown(BaseModel):
    now: datetime
    next_deadline: datetime | None


class Ready(BaseModel):
    """`reasons`: why not."""

    ready: bool
    reasons: list[str]


class Shown(Ready):
    """Counts of facts. `lag`: not yet seen here; `head`, `published`: last positions."""

    service: str
    now: datetime
    head: int | None = None
    published: int | None = None
    lag: int | None = None
    parked: int | None = None
    dead: int | None = None
    next_deadline: datetime | None = None


class DeadLetters(BaseModel):
    items: list[dict[str, Any]]


def health_routes(health: Health) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/healthz")
    async def healthz() -> dict[str, bool]:
        """The process runs and answers."""
        return {"alive": True}

    @router.get("/readyz", responses={503: {"model": Ready}})
    async def readyz(out: Response) -> Ready:
        reasons = await health.reasons()
        out.status_code = 503 if reasons else 200
        return Ready(ready=not reasons, reasons=reasons)

    return router


def operator_routes(service: str, ports: Ports, health: Health, work: Work | None) -> APIRouter:
    """`work`: of the worker in this process, if there is one."""
    router = APIRouter(prefix="/ops", tags=["operators"], dependencies=[OPERATORS])

    def working() -> Work:
        if work is None:
            raise NoWorkerHere
        return work

    @router.get("/state")
    async def state() -> Shown:
        reasons = await health.reasons()
        shown = Shown(service=service, now=ports.clock.now(), ready=not reasons, reasons=reasons)
        if work is None:
            return shown
        counts, due = await work.state(), await work.next_due()
        return shown.model_copy(update={**counts, "next_deadline": due})

    @router.post("/clock")
    async def clock(body: AdvanceClock) -> ClockShown:
        """In a story only. This service's deadlines due by then have fired when it answers."""
        if not isinstance(ports.clock, StoryClock):
            raise StoryClockRefused
        await ports.clock.advance_to(body.advance_to)
        await working().fire_due(ports.clock.now())
        return ClockShown(now=ports.clock.now(), next_deadline=await working().next_due())

    @router.get("/dead-letters")
    async def dead_letters(
        state: str | None = None, limit: Annotated[int, Query(ge=1, le=200)] = 50
    ) -> DeadLetters:
        found = await working().dead_letters(state, limit)
        return DeadLetters(items=[dict(letter) for letter in found])

    @router.get("/dead-letters/{letter_id}")
    async def dead_letter(letter_id: UUID) -> dict[str, Any]:
        found = await working().dead_letter(letter_id)
        if found is None:
            raise DeadLetterNotFound(letter_id)
        return dict(found)

    @router.post("/dead-letters/{letter_id}/redrive", status_code=204)
    async def redrive(letter_id: UUID) -> None:
        if not await working().redrive(letter_id):
            raise DeadLetterNotFound(letter_id)

    @router.post("/dead-letters/{letter_id}/discard", status_code=204)
    async def discard(letter_id: UUID) -> None:
        if not await working().discard(letter_id):
            raise DeadLetterNotFound(letter_id)

    return router
