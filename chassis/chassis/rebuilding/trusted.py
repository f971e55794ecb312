"""Records that the live delivery has read as facts before: of their headers only what is asked for.

To read all of them takes most of the time of a fold, and of a record's ids a projection uses one.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from chassis.consuming.records import Record
from chassis.store import Recorded
from prm_contracts.facts import Fact, decode

Headers = dict[str, bytes]


def _id_in(header: str) -> Callable[[Headers], UUID]:
    return lambda headers: UUID(headers[header].decode())


def _instant_in(header: str) -> Callable[[Headers], datetime]:
    return lambda headers: datetime.fromisoformat(headers[header].decode()).astimezone(UTC)


PARTS: dict[str, Callable[[Headers], object]] = {
    "aggregate_id": _id_in("ce_subject"),
    "chain": lambda headers: bytes.fromhex(headers["ce_chain"].decode()),
    "event_id": _id_in("ce_id"),
    "position": lambda headers: int(headers["ce_position"]),
    "occurred_at": _instant_in("ce_time"),
    "recorded_at": _instant_in("ce_recordedat"),
    "actor_id": _id_in("ce_actor"),
    "command_id": _id_in("ce_commandid"),
    "correlation_id": _id_in("ce_correlationid"),
    "causation_id": lambda headers: (
        UUID(headers["ce_causationid"].decode()) if headers.get("ce_causationid") else None
    ),
}


class Asked(Recorded[Any]):
    """A Recorded that finds out what its PARTS are when they are asked for."""

    def __init__(self, fact: Fact, of: "Trusted") -> None:
        self.__dict__.update(fact=fact, version=of.version, headers=of.headers)

    def __getattr__(self, name: str) -> Any:
        if name not in PARTS:
            raise AttributeError(name)
        found = self.__dict__[name] = PARTS[name](self.__dict__["headers"])
        return found


class Trusted(NamedTuple):
    """What `Envelope` is to the live delivery."""

    record: Record
    headers: Headers
    aggregate_id: str
    version: int

    @property
    def chain_text(self) -> str:
        """As PostgreSQL writes it."""
        return "\\x" + self.headers["ce_chain"].decode()

    @property
    def type(self) -> str:
        return self.headers["ce_type"].decode()

    @property
    def recorded(self) -> Recorded[Any]:
        """Raises UnknownFact, or pydantic's ValidationError."""
        return Asked(decode(self.type, self.record.value or b""), self)


def trusted(record: Record) -> Trusted:
    headers = dict(record.headers)
    return Trusted(
        record=record,
        headers=headers,
        aggregate_id=headers["ce_subject"].decode(),
        version=int(headers["ce_sequence"]),
    )
