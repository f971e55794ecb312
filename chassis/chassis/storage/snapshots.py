"""The state of an aggregate as JSON, so that a long stream need not be replayed from its start."""

import logging
from functools import cache
from typing import Any, ClassVar, NamedTuple, get_origin, get_type_hints
from uuid import UUID

from psycopg import AsyncConnection
from pydantic import PydanticSchemaGenerationError, TypeAdapter
from pydantic_core import PydanticSerializationError
from typing_extensions import TypedDict  # that of Python 3.11 does not do

from chassis.aggregates import Aggregate

log = logging.getLogger(__name__)

ENVELOPE = {"id", "version", "pending"}  # not state: the store keeps them itself


class Snapshot(NamedTuple):
    """`state`: JSON of the annotated attributes that were set."""

    aggregate_id: UUID
    kind: str
    state_version: int
    version: int
    state: bytes


@cache
def _state_adapter(kind: type[Aggregate[Any]]) -> TypeAdapter[dict[str, Any]]:
    hints = {
        name: hint
        for name, hint in get_type_hints(kind, include_extras=True).items()
        if hint is not ClassVar and get_origin(hint) is not ClassVar
    }
    return TypeAdapter(TypedDict("State", hints, total=False))  # type: ignore[operator]


def snapshot_of(aggregate: Aggregate[Any]) -> Snapshot | None:
    """None, and a warning, for a class whose state its annotations do not describe."""
    kind = type(aggregate)
    state = {name: value for name, value in vars(aggregate).items() if name not in ENVELOPE}
    try:
        adapter = _state_adapter(kind)
        dumped = adapter.dump_json(state, warnings="error")
        kept = adapter.validate_json(dumped)
    except (PydanticSchemaGenerationError, PydanticSerializationError, ValueError) as fault:
        log.warning("no snapshot of %s: %s", kind.__name__, fault)
        return None
    if kept != state:
        log.warning("no snapshot of %s: its annotations do not tell all state", kind.__name__)
        return None
    return Snapshot(aggregate.id, kind.__name__, kind.state_version, aggregate.version, dumped)


def restored(aggregate: Aggregate[Any], version: int, state: bytes) -> None:
    """Raises ValueError, if the state is not one of this class."""
    for name, value in _state_adapter(type(aggregate)).validate_json(state).items():
        setattr(aggregate, name, value)
    aggregate.version = version


async def keep(connection: AsyncConnection[Any], snapshots: list[Snapshot]) -> None:
    """Stores them, each unless a newer one is there. Losing one loses nothing but time."""
    for snapshot in snapshots:
        await connection.execute(
            "INSERT INTO snapshots (aggregate_id, kind, state_version, version, state)"
            " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (aggregate_id) DO UPDATE"
            " SET kind = excluded.kind, state_version = excluded.state_version,"
            " version = excluded.version, state = excluded.state"
            " WHERE (snapshots.state_version, snapshots.version)"
            " < (excluded.state_version, excluded.version)",
            snapshot,
        )
