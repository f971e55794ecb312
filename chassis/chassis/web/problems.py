"""Problem documents (RFC 9457): how every refusal and every fault is answered."""

import re
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, fields
from functools import cache
from inspect import cleandoc
from typing import ClassVar

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.routing import Match

from chassis.errors import Invalid, Refusal, TooLarge, TooMany, Unavailable

MEDIA_TYPE = "application/problem+json"
LARGEST_BODY = 1024 * 1024
BODY_WITHIN = 20.0  # seconds
correlation: ContextVar[str] = ContextVar("correlation", default="")  # of the request being served
refused: ContextVar[str] = ContextVar("refused", default="")  # the type of its problem
# What is wrong with it besides what the framework finds.
beside: ContextVar[Sequence[dict[str, str]]] = ContextVar("beside", default=())


class Wrong(BaseModel):
    """`field`: JSON pointer into the request: /body/..., /query/..., /path/..., /header/..."""

    field: str
    message: str


class Problem(BaseModel):
    """The published shape. `type` is stable; members beyond these are the refusal's evidence."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    correlation_id: str
    errors: list[Wrong] | None = None


@dataclass(eq=False)
class RequestInvalid(Invalid):
    """The request does not have the shape that this operation takes: see `errors`."""

    errors: list[dict[str, str]]


@dataclass(eq=False)
class IdempotencyKeyNeeded(Refusal):
    """A command takes the header Idempotency-Key: a text of your own, the same when you repeat."""

    status = 400
    errors: list[dict[str, str]]


class MediaTypeUnsupported(Refusal):
    """A body is sent as application/json, or as what /docs says of this operation."""

    status = 415


@dataclass(eq=False)
class BodyTooLarge(TooLarge):
    """A body takes at most so many bytes: send less, or in parts."""

    limit: int


@dataclass(eq=False)
class BodyTooSlow(Refusal):
    """A body arrives whole within so many seconds: send it again."""

    status = 408
    seconds: float


class PathNotFound(Refusal):
    """There is nothing at this path: see /docs for those there are."""

    status = 404


@dataclass(eq=False)
class MethodNotAllowed(Refusal):
    """This path takes other methods."""

    status = 405
    allow: str


class RequestUnreadable(Refusal):
    """The request cannot be read as HTTP with the body that it announces."""

    status = 400


class InternalFault(Refusal):
    """A fault of ours: ask again, with the same Idempotency-Key, or tell the correlation id."""

    status = 500


@dataclass(eq=False)
class Unauthenticated(Refusal):
    """A valid access token is needed: get one from the issuer, send it as Authorization: Bearer."""

    status: ClassVar[int] = 401
    reason: str


def named(kind: type[Refusal]) -> tuple[str, str]:
    """The stable type of a refusal, and its title: the first paragraph of its docstring."""
    return _named(kind.__name__, kind.__doc__ or kind.__name__)


@cache
def _named(name: str, told: str) -> tuple[str, str]:
    slug = re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()
    return f"urn:problem:{slug}", cleandoc(told).partition("\n\n")[0].replace("\n", " ")


def answered(refusal: Refusal) -> Response:
    kind = type(refusal)
    urn, title = named(kind)
    refused.set(urn)
    evidence = {field.name: getattr(refusal, field.name) for field in fields(refusal)}
    standard = {"type": urn, "title": title, "status": kind.status}
    standard["correlation_id"] = correlation.get()
    body = to_json(evidence | standard)
    return Response(body, kind.status, dict(_headers(refusal)), MEDIA_TYPE)


def _headers(refusal: Refusal) -> Iterator[tuple[str, str]]:
    if isinstance(refusal, (TooMany, Unavailable)):
        yield "Retry-After", str(refusal.retry_after)
    elif isinstance(refusal, Unauthenticated):
        yield "WWW-Authenticate", 'Bearer error="invalid_token"'
    elif isinstance(refusal, MethodNotAllowed):
        yield "Allow", refusal.allow
    elif isinstance(refusal, BodyTooSlow):
        yield "Connection", "close"


def pointer(path: Sequence[str | int]) -> str:
    """A JSON pointer (RFC 6901) of where a value was expected."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def field_of(path: Sequence[str | int]) -> str:
    """Of a parameter its name: what is behind that names one of the shapes that it may have."""
    return pointer(path if path[0] == "body" else path[:2])


def of_shape(fault: RequestValidationError) -> Refusal:
    """All that is wrong with a request at once, without the values that it held."""
    found = fault.errors()
    if any(tuple(error["loc"]) == ("body",) and type(error["input"]) is bytes for error in found):
        return MediaTypeUnsupported()
    own = beside.get()
    is_body_read = any(error["field"].startswith("/body") for error in own)
    errors = [
        {"field": field_of(error["loc"]), "message": error["msg"]}
        for error in found
        if not (is_body_read and error["loc"][0] == "body")  # the framework was given none
    ]
    errors += own
    if any(error["field"] == "/header/idempotency-key" for error in errors):
        return IdempotencyKeyNeeded(errors)
    return RequestInvalid(errors)


def of_status(status: int, request: Request) -> Refusal:
    """What the framework refuses by itself."""
    match status:
        case 404:
            return PathNotFound()
        case 405:
            return MethodNotAllowed(", ".join(methods_at(request)))
        case 408:
            return BodyTooSlow(BODY_WITHIN)
        case 413:
            return BodyTooLarge(LARGEST_BODY)
        case _:
            return RequestUnreadable()


def methods_at(request: Request) -> list[str]:
    """All that the path of the request takes; the framework names those of its first route only."""
    return [
        method
        for method in ("DELETE", "GET", "POST", "PUT")
        if any(
            route.matches(dict(request.scope) | {"method": method})[0] is Match.FULL
            for route in request.app.routes
        )
    ]


def handle_problems(app: FastAPI) -> None:
    @app.exception_handler(Refusal)
    async def refuse(_: Request, refusal: Refusal) -> Response:
        return answered(refusal)

    @app.exception_handler(RequestValidationError)
    async def refuse_shape(_: Request, fault: RequestValidationError) -> Response:
        return answered(of_shape(fault))

    @app.exception_handler(HTTPException)
    async def refuse_request(request: Request, fault: HTTPException) -> Response:
        return answered(of_status(fault.status_code, request))
