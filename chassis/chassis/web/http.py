"""The HTTP face that all services share: a command's context in, ETag and position out."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, cast
from uuid import UUID, uuid5

from fastapi import Depends, FastAPI, Header, Request, Response, Security
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from pydantic import BaseModel

from chassis.clock import Clock
from chassis.context import Actor, Context
from chassis.errors import Forbidden, Invalid, Refusal, RoleNeeded
from chassis.storage.history import History
from chassis.storage.postgres import PooledReads
from chassis.storage.questions import Questions
from chassis.store import EventStore, Saved
from chassis.telemetry import tracing
from chassis.telemetry.sight import Sight
from chassis.vault import Vault
from chassis.web.crowd import Crowd, TooManyQuestions
from chassis.web.envelope import Envelope
from chassis.web.identity import Identity
from chassis.web.instants import InstantAsked
from chassis.web.live import Live
from chassis.web.openapi import NEEDED, describe
from chassis.web.positions import Tokens
from chassis.web.problems import correlation, handle_problems
from chassis.web.waiting import Waiting

IMPORTS = "channel-operations"  # the role that may say when something occurred
EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)  # near year 1 some zones have no local time to show


@dataclass(frozen=True)
class Ports:
    """What `main` plugs in. `database`: as the service itself; `questions`: as whoever asks."""

    events: EventStore
    database: PooledReads
    questions: Questions
    history: History
    live: Live
    vault: Vault
    clock: Clock
    identity: Identity
    tokens: Tokens
    waiting: Waiting
    sight: Sight = field(default_factory=Sight)
    crowd: Crowd = field(default_factory=Crowd)
    audience: Crowd = field(default_factory=lambda: Crowd(refusal=TooManyQuestions))


class IfMatchNeeded(Refusal):
    """Another's change could be lost here: send the ETag that you have read as If-Match."""

    status = 428


@dataclass(eq=False)
class OriginalTimeNotYours(Forbidden):
    """Only the role named here says when something occurred: send no Prm-Occurred-At."""

    role: str


@dataclass(eq=False)
class OriginalTimeOutOfRange(Invalid):
    """Prm-Occurred-At lies between these two, which are 1900 and now: correct it, or leave it."""

    earliest: datetime
    latest: datetime


def ports_of(request: Request) -> Ports:
    return cast(Ports, request.app.state.ports)


async def _ports(request: Request) -> Ports:
    return ports_of(request)


HasPorts = Annotated[Ports, Depends(_ports)]


class Bearer(SecurityBase):
    """Who asks, by an access token; documented as that.

    It depends on nothing, as all that is here: FastAPI takes 20 us for each dependency, and solves
    those of another one again for whoever names it.
    """

    scheme_name = "accessToken"
    model = HTTPBearer(bearerFormat="JWT", description="An access token of the issuer (RFC 9068).")

    async def __call__(self, request: Request) -> Actor:
        return await ports_of(request).identity.actor(request.headers.get("authorization"))


class Allowed(Bearer):
    def __init__(self, roles: tuple[str, ...]) -> None:
        self._roles = roles

    async def __call__(self, request: Request) -> Actor:
        asker = await super().__call__(request)
        if asker.roles.isdisjoint(self._roles):
            raise RoleNeeded(self._roles)
        return asker


Asker = Annotated[Actor, Depends(Bearer())]
Seen = Annotated[
    str | None, Header(max_length=16_000, description="What an earlier command answered.")
]
OccurredAt = Annotated[
    InstantAsked | None,
    Header(
        description="For an import, by channel-operations: when it occurred (RFC 3339), which its"
        " facts then say. It is decided as of now all the same."
    ),
]


def _dated(asker: Actor, occurred_at: datetime | None, now: datetime) -> datetime | None:
    """Raises OriginalTimeNotYours, OriginalTimeOutOfRange."""
    if occurred_at is None:
        return None
    if IMPORTS not in asker.roles:
        raise OriginalTimeNotYours(IMPORTS)
    if not EARLIEST <= occurred_at <= now:
        raise OriginalTimeOutOfRange(EARLIEST, now)
    return occurred_at


class Commands(Bearer):
    """A command's context, once nothing that its caller has seen is unknown here."""

    async def __call__(  # type: ignore[override]
        self,
        request: Request,
        idempotency_key: Annotated[str, Header(min_length=1, max_length=200)],
        if_match: Annotated[str | None, Header(pattern=r'^"[0-9]{1,9}"$')] = None,
        prm_position: Seen = None,
        prm_occurred_at: OccurredAt = None,
    ) -> Context:
        asker, ports = await super().__call__(request), ports_of(request)
        if prm_position:
            await ports.waiting.until_seen(ports.tokens.seen(prm_position))
        now = ports.clock.now()
        occurred_at = _dated(asker, prm_occurred_at, now)
        body = await request.body()
        dated = (occurred_at.isoformat().encode(),) if occurred_at else ()
        return Context(
            actor=asker,
            now=now,
            command_id=uuid5(asker.id, idempotency_key),
            correlation_id=UUID(correlation.get()),
            if_match=int(if_match.strip('"')) if if_match else None,
            request_hash=ports.tokens.request_hash(asked_of(request), body, *dated),
            traceparent=tracing.traceparent(),
            occurred_at=occurred_at,
        )


Ctx = Annotated[Context, Depends(Commands())]


def asked_of(request: Request) -> bytes:
    """What is asked, without the body."""
    scope = request.scope
    return f"{scope['method']} {scope['path']}?".encode() + bytes(scope["query_string"])


def allowed(*roles: str) -> Any:
    """For `dependencies=[...]` of a route: who may use it, by any of these. Raises RoleNeeded."""
    # OpenAPI 3.1: its scopes are the roles that a way of access takes.
    return Security(Allowed(roles), scopes=roles)


def waits_for(*read_models: str) -> Any:
    """For `dependencies=[...]` of a question: with Prm-Position it waits until these have it."""

    async def seen(request: Request, prm_position: Seen = None) -> None:
        if prm_position:
            ports = ports_of(request)
            await ports.waiting.until_seen(ports.tokens.seen(prm_position), read_models)

    return Depends(seen)


async def _if_match(
    if_match: Annotated[str | None, Header(alias="If-Match", description=NEEDED)] = None,
) -> None:
    if if_match is None:
        raise IfMatchNeeded


if_match_required = Depends(_if_match)


class Accepted(BaseModel):
    """The aggregate that the command addressed, and its version now."""

    id: UUID
    version: int


def accepted(saved: Saved, ports: Ports, out: Response) -> Accepted:
    """Answers for the aggregate saved first: its version is the ETag."""
    addressed, version = saved.versions[0]
    out.headers["ETag"] = f'"{version}"'
    out.headers["Prm-Position"] = ports.tokens.position(saved)
    if saved.is_repeat:
        out.headers["Idempotent-Replayed"] = "true"
    return Accepted(id=addressed, version=version)


def install(app: FastAPI, ports: Ports) -> None:
    """To be called once all routes are there."""
    app.state.ports = ports
    handle_problems(app)
    app.add_middleware(Envelope, sight=ports.sight)
    describe(app)
