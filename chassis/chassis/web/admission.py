"""Who finds no place is told so once the head of a request is read, and nothing else is done."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextvars import Context
from functools import lru_cache
from typing import NamedTuple

from starlette.types import Scope

from chassis.errors import Refusal
from chassis.telemetry.sight import Sight
from chassis.web.crowd import Crowd
from chassis.web.envelope import Answer, about, count, own_id
from chassis.web.http import Ports
from chassis.web.problems import answered, correlation, named
from chassis.web.routes import Route, Router

log = logging.getLogger(__name__)

PEOPLES = "/v1/"  # beside it lies what operators and their machines ask: that finds a place always
REMEMBERED = 4096  # paths
ANY_ID = "00000000-0000-0000-0000-000000000000"


class Refused(NamedTuple):
    """An answer, but for the lines that its connection adds. `rest`: of the head, and the body."""

    status: int
    rest: bytes


class Operation:
    """What needs a place in `crowd`, and what is told to who finds none."""

    def __init__(self, route: Route, crowd: Crowd, sight: Sight) -> None:
        self.crowd, self.route, self._sight = crowd, route.path, sight
        self._matches, self._methods = route.path_regex.match, route.methods or ()
        self._problem, _ = named(crowd.refusal)
        self._said = Context().run(said, crowd.refusal)

    def is_at(self, method: str, path: str) -> bool:
        return method in self._methods and self._matches(path) is not None

    def refused(self, method: str, headers: Mapping[bytes, bytes]) -> Refused:
        """Counted as every answer is. No line is written of each: that took a fifth of it."""
        status, own = self.crowd.refusal.status, own_id(headers)
        answer = Answer(method, self.route, status, self._problem)
        count(self._sight.metrics, answer, 0)
        if self._sight.tracer.is_recording:
            Context().run(self._trace, answer, own, headers)
        return Refused(status, own.join(self._said))

    def _trace(self, answer: Answer, own: bytes, headers: Mapping[bytes, bytes]) -> None:
        correlation.set(own.decode())
        came = headers.get(b"traceparent", b"").decode("latin-1")
        with self._sight.tracer.begin(answer.method, came, "server") as span:
            span.tell(f"{answer.method} {answer.route}", about(answer))


class Admission:
    """Of one process, to the operations of these routers."""

    def __init__(self, routers: Iterable[Router], ports: Ports) -> None:
        self._known, self._is_full = ports.identity.known, False
        self._operations = [*operations(routers, ports)]
        self._at = lru_cache(REMEMBERED)(self._found)

    def refused(self, scope: Scope) -> Refused | None:
        """None: it may go on, with its place in the scope if it needs one."""
        operation = self._at(scope["method"], scope["path"])
        if operation is None:
            return None
        headers = dict(scope["headers"])
        given = headers.get(b"authorization", b"").decode("latin-1")
        try:
            scope["place"] = operation.crowd.place(self._known(given))
        except Refusal as full:
            if not self._is_full:
                log.info("no place for %s: %s", operation.route, named(type(full))[0])
            self._is_full = True
            return operation.refused(scope["method"], headers)
        self._is_full = False
        return None

    def _found(self, method: str, path: str) -> Operation | None:
        return next((each for each in self._operations if each.is_at(method, path)), None)


def operations(routers: Iterable[Router], ports: Ports) -> Iterator[Operation]:
    for router in routers:
        for route in router.routes:
            if isinstance(route, Route) and route.path.startswith(PEOPLES):
                crowd = ports.crowd if route.is_command else ports.audience
                yield Operation(route, crowd, ports.sight)


def said(refusal: type[Refusal]) -> list[bytes]:
    """The rest of its answer, to be joined by a correlation id."""
    correlation.set(ANY_ID)
    answer = answered(refusal())
    lines = [*answer.raw_headers, (b"prm-correlation-id", ANY_ID.encode())]
    head = b"".join(b"%b: %b\r\n" % line for line in lines)
    return b"\r\n".join((head, bytes(answer.body))).split(ANY_ID.encode())
