"""What every service offers its operators: health, state, the story's clock, dead letters."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Protocol

from fastapi import Query, Response
from fastapi.responses import PlainTextResponse
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from pydantic import AwareDatetime, BaseModel, Field

from chassis.clock import StoryClock, StoryClockRefused
from chassis.consuming.dead_letters import DeadLetters, Letter
from chassis.consuming.outbound import Waiting
from chassis.consuming.parking import State, unpacked
from chassis.consuming.worker import DeliveryState
from chassis.errors import Invalid, Unavailable
from chassis.telemetry.metrics import Metrics
from chassis.telemetry.metrics import State as MeasuredState
from chassis.web.health import Health
from chassis.web.http import Ports, allowed
from chassis.web.identity import OPERATOR
from chassis.web.routes import Router
from prm_contracts.facts import Value

OPERATORS = allowed(OPERATOR)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)  # of a story
LAST_NUMBER = 2**63 - 1
Number = Annotated[int, Field(ge=0, le=LAST_NUMBER)]


@dataclass(eq=False)
class ClockTooFar(Invalid):
    """No story goes beyond this: what is computed from an instant has to have a date too."""

    latest: datetime


class NoWorkerHere(Unavailable):
    """This process answers HTTP only: ask one of the service's workers."""


class Work(Protocol):
    """What the worker of this process does for operators."""

    async def state(self) -> DeliveryState: ...

    async def heads(self) -> tuple[int, int]:
        """The last position of the store, and the last one on its topic."""

    async def waiting(self) -> Waiting:
        """What is to be done in the outside world."""

    async def fire_due(self, until: datetime) -> None:
        """This service's deadlines, in order of due time; returns when they have fired."""

    async def reset_tracking(self, topic: str, partition: int | None) -> None:
        """The topic, or one partition of it, is read from its beginning again."""


class AdvanceClock(Value):
    advance_to: AwareDatetime


class ResetTracking(Value):
    """`partition` null: all partitions of the topic."""

    topic: str
    partition: int | None = None


class ClockShown(BaseModel):
    now: datetime
    next_deadline: datetime | None


class Ready(BaseModel):
    """`reasons`: why not."""

    ready: bool
    reasons: list[str]


class Shown(Ready):
    """Counts of facts. `lag`: on the topics, without effect here yet, -1: not known; `head`,
    `published`: the store's last position, and the last one on its topic. `errands`: under way in
    the outside world; `outbound`: what it does not take at the moment, and why.
    """

    service: str
    now: datetime
    head: int | None = None
    published: int | None = None
    lag: int | None = None
    parked: int | None = None
    dead: int | None = None
    next_deadline: datetime | None = None
    errands: int | None = None
    outbound: list[str] = []


class ListedLetters(BaseModel):
    items: list[Letter]


class ShownLetter(BaseModel):
    """`key`, `value` and `headers`: of the record as it came; personal fields in it are sealed."""

    letter: Letter
    key: str | None
    value: str | None
    headers: list[tuple[str, str]]


def health_routes(health: Health) -> Router:
    router = Router(tags=["health"])

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


def metrics_routes(metrics: Metrics, observed: Callable[[], Awaitable[MeasuredState]]) -> Router:
    """`observed`: what is so now, found out within seconds, whatever is away."""
    router = Router(tags=["health"])

    @router.get("/metrics", response_class=PlainTextResponse)
    async def shown() -> Response:
        """For Prometheus: what happened in this process, and what is so now."""
        return Response(metrics.shown(await observed()), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    return router


def operator_routes(service: str, ports: Ports, health: Health, work: Work | None) -> Router:
    """`work`: of the worker in this process, if there is one."""
    router = Router(prefix="/ops", tags=["operators"], dependencies=[OPERATORS])

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
        delivery, (head, published) = await work.state(), await work.heads()
        errands = await work.waiting()
        return shown.model_copy(
            update={
                "head": head,
                "published": published,
                "lag": delivery.lag,
                "parked": delivery.parked,
                "dead": delivery.dead,
                "next_deadline": delivery.next_deadline,
                "errands": errands.under_way,
                "outbound": errands.reasons,
            }
        )

    @router.post("/clock")
    async def clock(body: AdvanceClock) -> ClockShown:
        """In a story only. This service's deadlines due by then have fired when it answers."""
        if not isinstance(ports.clock, StoryClock):
            raise StoryClockRefused
        if body.advance_to > LATEST:
            raise ClockTooFar(LATEST)
        here = working()  # before the clock is set, for all services
        await ports.clock.advance_to(body.advance_to)
        await here.fire_due(ports.clock.now())
        delivery = await here.state()
        return ClockShown(now=ports.clock.now(), next_deadline=delivery.next_deadline)

    @router.post("/tracking/reset", status_code=204)
    async def reset_tracking(body: ResetTracking) -> None:
        """For a topic that was made anew. What was seen before has no effect again."""
        await working().reset_tracking(body.topic, body.partition)

    return router


def letter_routes(letters: DeadLetters) -> Router:
    """Facts that could not be handled: the way back is the same for all services."""
    router = Router(prefix="/ops/dead-letters", tags=["operators"], dependencies=[OPERATORS])

    @router.get("")
    async def dead_letters(
        state: State | None = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        after: Annotated[int | None, Field(ge=0, le=LAST_NUMBER)] = None,
    ) -> ListedLetters:
        """Of any state, if none is named. `after`: the last number of the page before."""
        return ListedLetters(items=list(await letters.list(state, limit, after)))

    @router.get("/{number}")
    async def dead_letter(number: Number) -> ShownLetter:
        found = await letters.show(number)
        return ShownLetter(
            letter=found,
            key=as_text(found.key),
            value=as_text(found.value),
            headers=[(name, as_text(value) or "") for name, value in unpacked(found.headers)],
        )

    @router.post("/{number}/redrive", status_code=204)
    async def redrive(number: Number) -> None:
        """It is tried again within a second, and then those behind it."""
        await letters.redrive(number)

    @router.post("/{number}/discard", status_code=204)
    async def discard(number: Number) -> None:
        """It is given up; its aggregate goes on behind it."""
        await letters.discard(number)

    return router


def as_text(raw: bytes | None) -> str | None:
    """A poisoned record may hold anything."""
    return None if raw is None else raw.decode(errors="backslashreplace")
