"""Every operation's route: a request is read strictly, and all that is wrong with it told at once.

The framework alone takes "5" for 5, passes over names that it does not know, and of a member that
is given twice keeps the last.
"""

import json
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from functools import wraps
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Header, Query
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError

from chassis.web.problems import MediaTypeUnsupported, RequestInvalid, beside, pointer

Wrong = list[dict[str, str]]
Handler = Callable[[Request], Coroutine[Any, Any, Response]]

COMMAND = "idempotency-key"  # the header that all commands take, and nothing else
NO_BODY = (b"", b"{}")
# JSON has a NUL character and PostgreSQL's text has none: a read model could never show it.
ESCAPED_NUL = b"\\u0000"


class Route(APIRoute):
    def __init__(self, path: str, endpoint: Callable[..., Any], **how: Any) -> None:
        super().__init__(path, unless_wrong(endpoint), **how)

    def get_route_handler(self) -> Handler:
        plain = super().get_route_handler()
        taken = get_flat_params(self.dependant)
        names = frozenset(each.alias for each in taken if isinstance(each.field_info, Query))
        shape: Any = self.body_field and self.body_field.field_info.annotation
        body = TypeAdapter[Any](shape) if shape else None
        is_form = "requestBody" in (self.openapi_extra or {})

        async def read(request: Request) -> Response:
            found = wrong_names(request, names)
            beside.set(found)
            if request.headers.get("content-encoding", "identity") != "identity":
                raise MediaTypeUnsupported
            if body:
                return await plain(StrictRequest(request, body, found))
            if request.method == "POST" and not is_form and await request.body() not in NO_BODY:
                found.append({"field": "/body", "message": "This operation takes no body"})
            return await plain(request)

        return read

    @property
    def is_command(self) -> bool:
        taken = get_flat_params(self.dependant)
        return COMMAND in {each.alias for each in taken if isinstance(each.field_info, Header)}


def unless_wrong(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """By then the framework has read all the rest, and told what is wrong with it."""

    @wraps(endpoint)
    async def guarded(*args: Any, **kwargs: Any) -> Any:
        if found := beside.get():
            raise RequestInvalid([*found])
        return await endpoint(*args, **kwargs)

    return guarded


class Router(APIRouter):
    """What a service puts its operations on."""

    def __init__(self, **how: Any) -> None:
        super().__init__(route_class=Route, **how)


def put_on(app: FastAPI, *routers: Router) -> None:
    """Their operations as they are: those of a router that is included are looked for twice."""
    for router in routers:
        app.router.routes += router.routes


class StrictRequest(Request):
    """Its JSON is the operation's `model`, or nothing: then `found` says what is wrong with it."""

    def __init__(self, request: Request, model: TypeAdapter[Any], found: Wrong) -> None:
        super().__init__(request.scope, request.receive)
        self._model, self._found = model, found

    async def json(self) -> Any:
        body = await self.body()
        try:
            read = self._model.validate_json(body, strict=True)
        except ValidationError as fault:
            if fault.errors()[0]["type"] != "json_invalid":
                self._found += of_text(body)
            self._found += of_body(fault)
            return None
        self._found += of_text(body)
        return read


def wrong_names(request: Request, names: frozenset[str]) -> Wrong:
    if not request.scope["query_string"]:
        return []
    given = Counter(name for name, _ in request.query_params.multi_items())
    unknown = {name: "There is no such parameter" for name in given if name not in names}
    repeated = {name: "It is given more than once" for name in given if given[name] > 1}
    return [
        {"field": pointer(("query", name)), "message": message}
        for name, message in (repeated | unknown).items()
    ]


def of_body(fault: ValidationError) -> Wrong:
    """Without the values that it held."""
    return [
        {"field": pointer(("body", *error["loc"])), "message": error["msg"]}
        for error in fault.errors(include_url=False, include_context=False, include_input=False)
    ]


def of_text(body: bytes) -> Wrong:
    """Of JSON that can be read: members given twice, and texts that nothing could show."""
    found: Wrong = []

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        read = dict(pairs)
        if len(read) < len(pairs):
            found.append({"field": "/body", "message": "A member is given more than once"})
        return read

    read = json.loads(body, object_pairs_hook=members)
    if ESCAPED_NUL in body:
        found.extend(
            {"field": at, "message": "Text takes no NUL character"}
            for at, text in texts(read)
            if "\0" in text
        )
    return found


def texts(value: Any, at: str = "/body") -> Iterator[tuple[str, str]]:
    """Every text in a JSON value, names of members included, with its pointer."""
    match value:
        case str():
            yield at, value
        case dict():
            for name, member in value.items():
                yield at, name
                yield from texts(member, at + pointer((name.replace("\0", "\\0"),)))
        case list():
            for place, item in enumerate(value):
                yield from texts(item, f"{at}/{place}")
