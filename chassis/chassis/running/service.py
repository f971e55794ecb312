"""What a service is to the chassis: its name, its routes, and its tables of reactions."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from chassis.delivery import DeadlineRule, KeptWithAppend, OutboundRule, Policy, Projection
from chassis.web.http import Ports
from chassis.web.routes import Router
from prm_contracts.facts import Topic


@dataclass(frozen=True)
class Service:
    """`topics`: those that it alone writes. `package`: has migrations/, runs as `-m package.main`.

    `own_keys`: of the service that signs access tokens: its JWKS, {"keys": [...]}; the others
    fetch them from it over HTTP.
    """

    name: str
    package: str
    description: str
    routers: tuple[Router, ...]
    topics: tuple[Topic[Any], ...]
    policies: tuple[Policy, ...] = ()
    projections: tuple[Projection, ...] = ()
    kept_with_append: tuple[KeptWithAppend, ...] = ()
    deadlines: tuple[DeadlineRule, ...] = ()
    outbound: tuple[OutboundRule, ...] = ()
    own_keys: Callable[[Ports], Awaitable[dict[str, Any]]] | None = None
