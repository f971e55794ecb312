"""A fact as a Kafka record (CloudEvents 1.0, binary mode), and back."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, LiteralString, NamedTuple
from uuid import UUID

from chassis.storage.wire import chained, fact_digest, id_text, instant_text, version_text
from chassis.store import Recorded
from prm_contracts.facts import Basis, decode

Headers = tuple[tuple[str, bytes], ...]
LAST_VERSION, LAST_POSITION = 2**31 - 1, 2**63 - 1  # of PostgreSQL's integer and bigint

# The columns of `events` that a record is made of, in the order of StoredRow.
STORED: LiteralString = (
    "position, aggregate_id, version, type, data, event_id, occurred_at, recorded_at, actor_id,"
    " command_id, request_hash, correlation_id, causation_id, traceparent, chain, outcome::text"
)


class StoredRow(NamedTuple):
    position: int
    aggregate_id: UUID
    version: int
    type: str
    data: bytes
    event_id: UUID
    occurred_at: datetime
    recorded_at: datetime
    actor_id: UUID
    command_id: UUID
    request_hash: str
    correlation_id: UUID
    causation_id: UUID | None
    traceparent: str
    chain: bytes
    outcome: str | None = None  # JSON; on the first fact of a command whose facts do not tell it


class Untrustworthy(Exception):
    """A record without a key, version or envelope that can be relied on: no service wrote it."""


class Record(NamedTuple):
    """A record as it came, before anything of it is believed."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(frozen=True)
class Envelope:
    """What a record says about its fact; the fact itself is not decoded yet."""

    record: Record
    type: str
    data: bytes
    aggregate_id: UUID
    version: int
    position: int
    event_id: UUID
    occurred_at: datetime
    recorded_at: datetime
    actor_id: UUID
    command_id: UUID
    request_hash: str
    correlation_id: UUID
    causation_id: UUID | None
    traceparent: str
    chain: bytes
    outcome: str | None

    def told(self) -> dict[str, object]:
        """What a line of log says of it."""
        return {
            "correlation_id": self.correlation_id,
            "event_id": self.event_id,
            "topic": self.record.topic,
            "partition": self.record.partition,
            "offset": self.record.offset,
        }

    @cached_property
    def _digest(self) -> bytes:
        return fact_digest(
            aggregate_id=self.aggregate_id,
            version=self.version,
            type=self.type,
            event_id=self.event_id,
            occurred_at=self.occurred_at,
            actor_id=self.actor_id,
            data=self.data,
        )

    def follows(self, previous: bytes) -> bool:
        """Whether its chain is that of `previous`, the chain of the version before, and of it."""
        return chained(previous, self._digest) == self.chain

    @cached_property
    def recorded(self) -> Recorded[Any]:
        """Decoded. Raises UnknownFact, or pydantic's ValidationError."""
        return Recorded(
            fact=decode(self.type, self.data),
            aggregate_id=self.aggregate_id,
            version=self.version,
            event_id=self.event_id,
            position=self.position,
            occurred_at=self.occurred_at,
            recorded_at=self.recorded_at,
            actor_id=self.actor_id,
            command_id=self.command_id,
            correlation_id=self.correlation_id,
            causation_id=self.causation_id,
            chain=self.chain,
        )

    def bases(self) -> tuple[Basis, ...]:
        """The `based_on` of its fact, read without knowing the fact."""
        if b'"based_on"' not in self.data:
            return ()
        try:
            return tuple(Basis.model_validate(basis) for basis in json.loads(self.data)["based_on"])
        # Another thing of that name, deeper in the fact, or no JSON that anybody reads.
        except (ValueError, KeyError, TypeError, RecursionError):
            return ()


def source_of(service: str) -> str:
    return f"urn:prm:{service}"


def headers_of(row: StoredRow, service: str) -> list[tuple[str, bytes]]:
    """Attributes of CloudEvents as Kafka headers: strings all, absent where there is nothing."""
    texts = {
        "ce_specversion": "1.0",
        "ce_id": id_text(row.event_id),
        "ce_type": row.type,
        "ce_source": source_of(service),
        "ce_subject": id_text(row.aggregate_id),
        "ce_time": instant_text(row.occurred_at),
        "ce_recordedat": instant_text(row.recorded_at),
        "ce_dataschema": f"urn:prm:schema:{row.type}",
        "ce_sequence": version_text(row.version),
        "ce_position": str(row.position),
        "ce_correlationid": id_text(row.correlation_id),
        "ce_causationid": id_text(row.causation_id) if row.causation_id else "",
        "ce_commandid": id_text(row.command_id),
        "ce_requesthash": row.request_hash,
        "ce_outcome": row.outcome or "",
        "ce_actor": id_text(row.actor_id),
        "ce_chain": row.chain.hex(),
        "ce_traceparent": row.traceparent,
        "content-type": "application/json",
    }
    return [(name, text.encode()) for name, text in texts.items() if text]


def read_envelope(record: Record, owner: str | None = None) -> Envelope:
    """`owner`: the service that alone writes the topic. Raises Untrustworthy, with the reason."""
    try:
        texts = {name: value.decode() for name, value in record.headers}
        if "\0" in "".join([*texts, *texts.values()]):
            raise Untrustworthy("a zero byte in a header")  # PostgreSQL stores no text with one
        if record.key is None or record.value is None:
            raise Untrustworthy("no key or no value")
        if record.key.decode() != texts["ce_subject"]:
            raise Untrustworthy("its key is not its subject")
        if owner is not None and texts["ce_source"] != source_of(owner):
            raise Untrustworthy(f"not written by {owner}")
        return _read(record, record.value, texts)
    except KeyError as missing:
        raise Untrustworthy(f"no header {missing}") from missing
    except (ValueError, AttributeError, OverflowError) as malformed:
        raise Untrustworthy(str(malformed)) from malformed


def _read(record: Record, value: bytes, texts: dict[str, str]) -> Envelope:
    version, position = int(texts["ce_sequence"]), int(texts["ce_position"])
    if not (1 <= version <= LAST_VERSION and 1 <= position <= LAST_POSITION):
        raise Untrustworthy("a version or position that no store gives")
    occurred_at, recorded_at = _instant(texts["ce_time"]), _instant(texts["ce_recordedat"])
    causation = texts.get("ce_causationid")
    return Envelope(
        record=record,
        type=texts["ce_type"],
        data=value,
        aggregate_id=UUID(texts["ce_subject"]),
        version=version,
        position=position,
        event_id=UUID(texts["ce_id"]),
        occurred_at=occurred_at,
        recorded_at=recorded_at,
        actor_id=UUID(texts["ce_actor"]),
        command_id=UUID(texts["ce_commandid"]),
        request_hash=texts.get("ce_requesthash", ""),
        correlation_id=UUID(texts["ce_correlationid"]),
        causation_id=UUID(causation) if causation else None,
        traceparent=texts.get("ce_traceparent", ""),
        chain=bytes.fromhex(texts["ce_chain"]),
        outcome=texts.get("ce_outcome") or None,
    )


def _instant(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise Untrustworthy(f"{text} names no zone")
    return at.astimezone(UTC)


def plain_headers(given: Iterable[tuple[str, bytes]] | dict[str, bytes] | None) -> Headers:
    """As a client library hands them over; of a name given twice the last one counts."""
    pairs = given.items() if isinstance(given, dict) else given or ()
    return tuple((name, value if value is not None else b"") for name, value in pairs)
