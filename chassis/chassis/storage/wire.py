"""How the parts of a fact are written on the wire, byte for byte, and read; hashes over them."""

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from uuid import UUID

from chassis.errors import Unavailable
from prm_contracts.facts import Fact, UnknownFact, decode

FIRST_CHAIN = bytes(32)  # what the first fact of an aggregate is chained to


@dataclass(eq=False)
class WrittenByANewerRelease(Unavailable):
    """This release cannot read a fact of this record: the newer one, or its predecessor, can."""

    fact_type: str


def stored_fact(fact_type: str, data: bytes) -> Fact:
    """As `decode`, of this service's own history. Raises WrittenByANewerRelease."""
    try:
        return decode(fact_type, data)
    except UnknownFact as unknown:
        raise WrittenByANewerRelease(fact_type) from unknown


def instant_text(at: datetime) -> str:
    """RFC 3339 in UTC with exactly six decimals: 2027-03-01T09:00:00.000000Z."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def id_text(id: UUID) -> str:
    """Lower case, canonical."""
    return str(id)


def version_text(version: int) -> str:
    return str(version)


def digest(*parts: bytes) -> bytes:
    """SHA-256 over the parts, each preceded by its length as 4 bytes big-endian."""
    return sha256(b"".join([len(part).to_bytes(4, "big") + part for part in parts])).digest()


def fact_digest(
    *,
    aggregate_id: UUID,
    version: int,
    type: str,
    event_id: UUID,
    occurred_at: datetime,
    actor_id: UUID,
    data: bytes,
) -> bytes:
    """Over ce_subject, ce_sequence, ce_type, ce_id, ce_time, ce_actor and the value, as sent."""
    return digest(
        id_text(aggregate_id).encode(),
        version_text(version).encode(),
        type.encode(),
        id_text(event_id).encode(),
        instant_text(occurred_at).encode(),
        id_text(actor_id).encode(),
        data,
    )


def chained(previous: bytes, digest: bytes) -> bytes:
    """The chain of a fact from that of the version before, or FIRST_CHAIN."""
    return sha256(previous + digest).digest()
