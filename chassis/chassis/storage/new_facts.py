"""Facts on their way into the store: what a command recorded, packed for the function `append`.

A column is packed into PostgreSQL's binary array format here: psycopg's own dumpers take ten
times as long, and every command pays for it.
"""

import itertools
import json
import os
import re
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import ClassVar, LiteralString, NamedTuple
from uuid import UUID

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

from chassis.context import Context
from prm_contracts.facts import Fact


class NewFact(NamedTuple):
    """`place`: among the facts of its command, from 1."""

    aggregate_id: UUID
    version: int
    type: str
    data: bytes
    digest: bytes
    event_id: UUID
    occurred_at: datetime
    actor_id: UUID
    command_id: UUID
    place: int
    request_hash: str
    correlation_id: UUID
    causation_id: UUID | None
    traceparent: str


@dataclass(slots=True)
class NewCommand:
    """What one command recorded, and its answer: (aggregate id, version), the addressed first."""

    ctx: Context
    facts: list[NewFact] = field(default_factory=list)
    decoded: list[Fact] = field(default_factory=list)
    answer: dict[UUID, int] = field(default_factory=dict)

    def told(self) -> str | None:
        """The answer as JSON, if it cannot be read off the facts."""
        by_facts: dict[UUID, int] = {}
        for fact in self.facts:
            by_facts[fact.aggregate_id] = fact.version
        same = by_facts == self.answer and list(by_facts) == list(self.answer)
        return None if same else answer_text(self.answer)


def answer_text(answer: dict[UUID, int]) -> str:
    return json.dumps([[str(aggregate_id), version] for aggregate_id, version in answer.items()])


def new_event_id(now: datetime) -> UUID:
    """A UUIDv7 (RFC 9562). Random: a repeat is found by its command id, never by its event ids."""
    milliseconds = (now - EPOCH_UNIX) // MILLISECOND
    random = int.from_bytes(os.urandom(10), "big")
    return UUID(
        int=milliseconds << 80
        | 0x7 << 76
        | (random >> 68 & 0xFFF) << 64
        | 0b10 << 62
        | random & 0x3FFF_FFFF_FFFF_FFFF
    )


EPOCH_UNIX = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_POSTGRES = datetime(2000, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
MILLISECOND = timedelta(milliseconds=1)

NULL = struct.pack(">i", -1)
INT4, INT8 = struct.Struct(">ii"), struct.Struct(">iq")
HEADER = struct.Struct(">iiIii")
UUID_LENGTH, HASH_LENGTH = struct.pack(">i", 16), struct.pack(">i", 32)


@lru_cache(maxsize=1024)
def _header(element: int, count: int) -> bytes:
    """Whether one is null stays unsaid: the server looks for itself."""
    return HEADER.pack(1, 0, element, count, 1)


class Packed(bytes):
    """A value in PostgreSQL's binary format."""

    oid: ClassVar[int]
    element: ClassVar[int] = 0  # oid; of an array

    @classmethod
    def of(cls, items: Sequence[bytes]) -> "Packed":
        """An array of these elements, each preceded by its length."""
        return cls(_header(cls.element, len(items)) + b"".join(items))


class Uuids(Packed):
    oid, element = 2951, 2950


class Integers(Packed):
    oid, element = 1007, 23


class Texts(Packed):
    oid, element = 1009, 25


class Bytes(Packed):
    oid, element = 1001, 17


class Instants(Packed):
    oid, element = 1185, 1184


class Instant(Packed):
    oid = 1184


class Boolean(Packed):
    oid = 16


class _PackedDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: bytes) -> bytes:
        return obj


for _packed in (Uuids, Integers, Texts, Bytes, Instants, Instant, Boolean):
    _dumper = type("_Dumper", (_PackedDumper,), {"oid": _packed.oid})
    psycopg.adapters.register_dumper(_packed, _dumper)


def _uuid(id: UUID) -> bytes:
    return UUID_LENGTH + id.bytes


def uuids(ids: Iterable[UUID]) -> Uuids:
    """As the value of a statement's parameter."""
    return Uuids(Uuids.of(list(map(_uuid, ids))))


def _uuid_or_null(id: UUID | None) -> bytes:
    return NULL if id is None else UUID_LENGTH + id.bytes


def _integer(number: int) -> bytes:
    return INT4.pack(4, number)


def _bytes(value: bytes) -> bytes:
    return len(value).to_bytes(4, "big") + value


def _text(value: str) -> bytes:
    return _bytes(value.encode())


def _hash(value: bytes) -> bytes:
    return HASH_LENGTH + value


def instant(at: datetime) -> bytes:
    return INT8.pack(8, (at - EPOCH_POSTGRES) // MICROSECOND)


# One line a column of `append`, in the order of NewFact.
COLUMNS: tuple[tuple[type[Packed], Callable[..., bytes]], ...] = (
    (Uuids, _uuid),
    (Integers, _integer),
    (Texts, _text),
    (Bytes, _bytes),
    (Bytes, _hash),
    (Uuids, _uuid),
    (Instants, instant),
    (Uuids, _uuid),
    (Uuids, _uuid),
    (Integers, _integer),
    (Texts, _text),
    (Uuids, _uuid),
    (Uuids, _uuid_or_null),
    (Texts, _text),
)


TYPES = [*(kind.oid for kind, _ in COLUMNS), Texts.oid, Instant.oid, Boolean.oid, Boolean.oid]

# For psycopg, and for libpq: what APPEND answers stands with the SQL function.
APPEND: LiteralString = (
    "SELECT head, repeated, clashed, moved FROM append("
    "%b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b)"
)
_numbers = itertools.count(1)
NUMBERED_APPEND = re.sub("%b", lambda _: f"${next(_numbers)}", APPEND).encode()


def append_arguments(
    commands: Iterable[NewCommand],
    now: datetime,
    *,
    all_or_none: bool = False,
    may_start_anywhere: bool = False,
) -> list[Packed]:
    """The values for APPEND."""
    facts: list[NewFact] = []
    told: list[bytes] = []
    for command in commands:
        facts += command.facts
        answer = command.told()
        told.append(NULL if answer is None else _text(answer))
        told += [NULL] * (len(command.facts) - 1)
    packed = [
        kind.of(list(map(pack, values)))
        for (kind, pack), values in zip(COLUMNS, zip(*facts, strict=True), strict=True)
    ]
    flags = (Boolean(bytes([flag])) for flag in (all_or_none, may_start_anywhere))
    return [*packed, Texts.of(told), Instant(instant(now)[4:]), *flags]
