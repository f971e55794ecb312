"""What PostgreSQL answers to the statements of the event store and of the relay."""

import json
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import psycopg

from chassis.consuming.records import StoredRow
from chassis.publishing import dead_letters, ends, losses, relay
from chassis.storage import alone, event_store, loading, new_facts, window, writer
from chassis.storage.new_facts import COLUMNS, EPOCH_POSTGRES, Bytes, Instants, Integers, Texts
from chassis.storage.wire import FIRST_CHAIN, chained
from prm_contracts.facts import unversioned

from .database import Event, Row, Transaction
from .statements import TRIGGERS, answers, begins

Known = tuple[UUID, str, list[list[Any]], UUID | None]
LOOKS_AT_VERSIONS = True  # false: a fault that is planted
MICROSECOND = timedelta(microseconds=1)


class Raised(psycopg.DatabaseError):
    """What a function of the database raises with a code of its own."""

    def __init__(self, code: str, ids: Iterable[UUID]) -> None:
        super().__init__(code)
        self.sqlstate = code
        self._detail = " ".join(map(str, ids))

    @property
    def diag(self) -> Any:
        return SimpleNamespace(message_detail=self._detail)


# --- append ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Given:
    """One fact as `append` gets it, in the order of its columns."""

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
    outcome: str | None


def _instant(packed: bytes) -> datetime:
    return EPOCH_POSTGRES + timedelta(microseconds=int.from_bytes(packed, "big", signed=True))


READ: dict[Any, Callable[[bytes], Any]] = {
    new_facts.Uuids: lambda packed: UUID(bytes=packed),
    Integers: lambda packed: int.from_bytes(packed, "big", signed=True),
    Texts: bytes.decode,
    Bytes: bytes,
    Instants: _instant,
}


def _unpacked(packed: bytes, read: Callable[[bytes], Any]) -> list[Any]:
    """A one-dimensional array in PostgreSQL's binary format."""
    [count] = struct.unpack_from(">i", packed, 12)
    items, at = [], 20
    for _ in range(count):
        [length] = struct.unpack_from(">i", packed, at)
        at += 4
        items.append(None if length < 0 else read(packed[at : at + length]))
        at += max(0, length)
    return items


def _commands(values: Sequence[bytes]) -> list[list[Given]]:
    kinds = [*(kind for kind, _ in COLUMNS), Texts]
    columns = [
        _unpacked(each, READ[kind]) for each, kind in zip(values[: len(kinds)], kinds, strict=True)
    ]
    commands: list[list[Given]] = []
    for row in zip(*columns, strict=True):
        given = Given(*row)
        if given.place == 1:
            commands.append([])
        commands[-1].append(given)
    return commands


@dataclass
class Report:
    head: int | None
    repeated: list[UUID]
    clashed: list[UUID]
    moved: list[UUID]


def append(tx: Transaction, values: Sequence[bytes]) -> Report:
    """Each command wholly or not at all; with `all_or_none` all of them. Raises Raised."""
    commands, now = _commands(values), _instant(values[15])
    all_or_none = values[16] == b"\1"
    tx.lock("append")
    report = Report(None, [], [], [])
    if not _insert(tx, [fact for command in commands for fact in command], now):
        for command in commands:
            if outcome_of(tx, command[0].command_id):
                report.repeated.append(command[0].command_id)
            elif all_or_none or not _insert(tx, command, now):
                report.clashed.append(command[0].command_id)
                report.moved += [fact.aggregate_id for fact in command]
    if all_or_none and report.repeated:
        raise Raised(window.KNOWN, report.repeated)
    if all_or_none and report.clashed:
        raise Raised(window.CLASHED, report.moved)
    last = _last(tx)
    report.head = last.position if last else None
    return report


def _last(tx: Transaction) -> Event | None:
    events = tx.appended or tx.database.events
    return events[-1] if events else None


def _insert(tx: Transaction, facts: Sequence[Given], now: datetime) -> bool:
    """All of them, each the next of its aggregate, and of no command that is known; or none."""
    last = _last(tx)
    position = last.position if last else 0
    at = max(now, last.recorded_at + MICROSECOND) if last else now
    lasts: dict[UUID, tuple[int, bytes]] = {}
    new: list[Event] = []
    for place, fact in enumerate(facts):
        version, chain = lasts.get(fact.aggregate_id) or _end_of(tx, fact.aggregate_id)
        is_known = fact.place == 1 and outcome_of(tx, fact.command_id) is not None
        if is_known or (LOOKS_AT_VERSIONS and fact.version != version + 1):
            return False
        chain = chained(chain, fact.digest)
        lasts[fact.aggregate_id] = fact.version, chain
        event = Event(
            position + place + 1,
            *(fact.aggregate_id, fact.version, fact.type, fact.data, fact.event_id),
            *(fact.occurred_at, at + place * MICROSECOND, fact.actor_id, fact.command_id),
            *(fact.place, fact.request_hash, fact.correlation_id, fact.causation_id),
            *(fact.traceparent, chain, None if fact.outcome is None else json.loads(fact.outcome)),
        )
        new.append(event)
    tx.appended += new
    if trigger := TRIGGERS.get(tx.database.name):
        trigger(tx, new)
    return True


def _end_of(tx: Transaction, aggregate_id: UUID) -> tuple[int, bytes]:
    mine = [event for event in tx.appended if event.aggregate_id == aggregate_id]
    stream = mine or tx.database.streams.get(aggregate_id)
    return (stream[-1].version, stream[-1].chain) if stream else (0, FIRST_CHAIN)


@answers(new_facts.APPEND)
def _append(tx: Transaction, values: Sequence[bytes]) -> list[Row]:
    return [vars(append(tx, values))]


@answers(alone.APPEND.sql.decode())
def _append_alone(tx: Transaction, values: Sequence[bytes | None]) -> list[Row]:
    *told, now = zip([*(kind for kind, _ in COLUMNS), Texts, Instants], values, strict=True)
    row: list[Any] = [None if each is None else READ[kind](each) for kind, each in told]
    if not _insert(tx, [Given(*row)], _instant(now[1] or b"")):
        return []
    return [{"position": tx.appended[-1].position}]


@answers(alone.DURABLE.sql.decode())
def _durable(tx: Transaction, values: Any) -> list[Row]:
    return []


@answers("SELECT lock_append()")
def _lock_append(tx: Transaction, values: Any) -> list[Row]:
    tx.lock("append")
    return [{"lock_append": ""}]


# --- outcomes ----------------------------------------------------------------------------------


def outcome_of(tx: Transaction, command_id: UUID) -> Known | None:
    """Command id, request hash, outcome, first event."""
    mine = [event for event in tx.appended if event.command_id == command_id]
    if facts := (tx.database.commands.get(command_id) or mine):
        touched: dict[str, int] = {}
        for fact in facts:
            touched[str(fact.aggregate_id)] = fact.version
        told = [[its_id, version] for its_id, version in touched.items()]
        first = facts[0]
        return command_id, first.request_hash, first.outcome or told, first.event_id
    if noted := tx.get("outcomes", command_id):
        return command_id, noted["request_hash"], noted["outcome"], None
    return None


def _outcomes(tx: Transaction, ids: Iterable[UUID]) -> list[Known]:
    return [known for its_id in ids if (known := outcome_of(tx, its_id))]


@answers(event_store.FIRST_OUTCOME)
def _first_outcome(tx: Transaction, values: Any) -> list[Row]:
    return [
        {"request_hash": request_hash, "outcome": json.dumps(outcome)}
        for _, request_hash, outcome, _ in _outcomes(tx, values)
    ]


@answers(event_store.A_FACT_TYPE)
def _a_fact_type(tx: Transaction, values: Any) -> list[Row]:
    streams = [tx.database.streams.get(its_id) for its_id in values[0]]
    return [{"type": stream[0].type} for stream in streams if stream]


@answers(event_store.NOTE_OUTCOME)
def _note_outcome(tx: Transaction, values: Any) -> list[Row]:
    command_id, request_hash, outcome = values
    tx.lock("append")
    is_new = outcome_of(tx, command_id) is None
    if is_new:
        row = {"request_hash": request_hash, "outcome": json.loads(outcome)}
        tx.put("outcomes", command_id, row)
    return [{"note_outcome": is_new}]


@answers(window.KNOWN_COMMANDS)
def _known_commands(tx: Transaction, values: Any) -> list[Row]:
    return [{"command_id": known[0]} for known in _outcomes(tx, values[0])]


@answers(writer.FIRST_EVENTS)
def _first_events(tx: Transaction, values: Any) -> list[Row]:
    return [
        {"event_id": event_id, "command_id": command_id}
        for command_id, _, _, event_id in _outcomes(tx, values[0])
    ]


# --- reading -----------------------------------------------------------------------------------


@answers(loading.LOAD_MANY)
def _load_many(tx: Transaction, values: Any) -> list[Row]:
    ids = sorted(set(_unpacked(values["ids"], READ[new_facts.Uuids])))
    return [{"aggregate_id": its_id, **row} for its_id in ids for row in _stored(tx, its_id)]


@answers(loading.LOAD)
def _load(tx: Transaction, values: Any) -> list[Row]:
    return _stored(tx, values["id"])


def _stored(tx: Transaction, aggregate_id: UUID) -> list[Row]:
    return [
        {"version": event.version, "type": event.type, "data": event.data}
        for event in tx.database.streams.get(aggregate_id, ())
    ]


@answers(ends.STORED)
def _of_versions(tx: Transaction, values: Any) -> list[Row]:
    columns = ("aggregate_id", "version", "position", "event_id", "chain")
    return [
        {name: getattr(event, name) for name in columns}
        for aggregate_id, version in zip(*values, strict=True)
        for event in tx.database.streams.get(aggregate_id, ())
        if event.version == version
    ]


@answers(ends.INTERRUPTED)
def _interrupted(tx: Transaction, values: Any) -> list[Row]:
    return [{"exists": False}]


@answers("SET synchronous_commit = off", "SELECT 1")
def _nothing(tx: Transaction, values: Any) -> int:
    return 0


# --- the relay ---------------------------------------------------------------------------------


def _published(tx: Transaction) -> int:
    return int((tx.get("relay", True) or {"position": 0})["position"])


@answers(relay.NEXT)
def _next(tx: Transaction, values: Any) -> list[Row]:
    position, most = values
    found = tx.database.events[position : position + most]
    return [
        {name: getattr(event, name) for name in StoredRow._fields[:-1]}
        | {"outcome": event.outcome and json.dumps(event.outcome)}
        for event in found
    ]


@answers(relay.HEADS)
def _heads(tx: Transaction, values: Any) -> list[Row]:
    return [{"coalesce": len(tx.database.events), "position": _published(tx)}]


@answers(losses.CONFIRMED)
def _confirmed(tx: Transaction, values: Any) -> list[Row]:
    first, last = max(0, values[0]), values[1]
    return [
        {"position": each.position, "aggregate_id": each.aggregate_id, "type": each.type}
        for each in tx.database.events[first:last]
    ]


@answers(losses.FIRST)
def _first_of_types(tx: Transaction, values: Any) -> list[Row]:
    last, names = values
    found = (each for each in tx.database.events[:last] if unversioned(each.type) in names)
    return [{"position": each.position} for each in islice(found, 1)]


@answers(relay.CONFIRM)
def _confirm(tx: Transaction, values: Any) -> int:
    new, old = values
    tx.lock(("relay", True))
    return tx.put("relay", True, {"position": new}) if _published(tx) == old else 0


@begins("SELECT pg_try_advisory_lock")
def _elect(tx: Transaction, values: Any) -> list[Row]:
    leader = tx.database.leaders.setdefault(values[0], tx.connection)
    return [{"pg_try_advisory_lock": leader is tx.connection}]


@answers(dead_letters.UNPOSTED)
def _unposted(tx: Transaction, values: Any) -> list[Row]:
    columns = [
        "id",
        "subscriber",
        "topic",
        "partition",
        "offset",
        "key",
        "value",
        "headers",
        "reason",
    ]
    rows = sorted(tx.rows("parking").values(), key=lambda row: row["id"])
    return [
        {name: row[name] for name in columns}
        for row in rows
        if row["state"] == "dead" and not row["is_published"]
    ][:20]


@answers(dead_letters.POSTED)
def _post(tx: Transaction, values: Any) -> int:
    return sum(tx.patch("parking", its_id, is_published=True) for its_id in values[0])
