"""Who asks, when, why, and under which command id: all that a command may know of the world."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid5


@dataclass(frozen=True)
class Actor:
    """`tenant_id`: the organisation whose records alone this actor may see; None: all."""

    id: UUID
    tenant_id: UUID | None = None
    roles: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Context:
    """One command. `now`: UTC; `if_match`: the version that the caller saw, if it says so.

    `occurred_at`: UTC, when what is told now was true, where the caller says so: data that facts
    carry. Whatever is decided, and every deadline, goes by `now`.
    `request_hash`: keyed hash, hex, of the request behind the command id; empty for policies.
    `traceparent`: the W3C trace context, or empty.
    """

    actor: Actor
    now: datetime
    command_id: UUID
    correlation_id: UUID
    causation_id: UUID | None = None
    if_match: int | None = None
    request_hash: str = ""
    traceparent: str = ""
    occurred_at: datetime | None = None

    def new_id(self, kind: str) -> UUID:
        """An id for what this command creates: the same one when the command is repeated."""
        return uuid5(self.command_id, kind)
