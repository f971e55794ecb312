"""Refusals: why a command did not happen. A subclass is one broken rule, its docstring the rule.

Refusal
|- Invalid              422
|- Forbidden            403
|- NotFound             404
|- Conflict             409
|- PreconditionFailed   412
|- TooLarge             413
|- TooMany              429, may be asked again
`- Unavailable          503, may be asked again
"""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID


@dataclass(eq=False)
class Refusal(Exception):
    """Subclasses are dataclasses: their fields are the evidence in the problem document."""

    status: ClassVar[int]


@dataclass(eq=False)
class NotFound(Refusal):
    """There is nothing under this id."""

    status = 404
    id: UUID


class Invalid(Refusal):
    """A value is well formed, but there is no such thing."""

    status = 422


class Forbidden(Refusal):
    status = 403


@dataclass(eq=False)
class RoleNeeded(Forbidden):
    """This takes one of the roles named here: ask somebody who holds it."""

    roles: tuple[str, ...]


class Conflict(Refusal):
    status = 409


class TooLarge(Refusal):
    status = 413


class TooMany(Refusal):
    """`retry_after` seconds from now there may be room."""

    status = 429
    retry_after: ClassVar[int] = 1


class Unavailable(Refusal):
    """`retry_after` seconds from now the same request may succeed."""

    status = 503
    retry_after: ClassVar[int] = 1


@dataclass(eq=False)
class PreconditionFailed(Refusal):
    """The aggregate has changed since the version named by If-Match: load it again."""

    status = 412
    version: int
