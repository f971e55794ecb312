"""What PostgreSQL answers to the statements of the delivery, of deadlines and of errands."""

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from chassis.consuming import (
    dead_letters,
    deadlines,
    outbound,
    parking,
    subscribers,
    tracking,
    windows,
)

from .database import Row, Transaction, chosen
from .statements import answers, begins

OPEN = ("waiting", "dead")
LOCKS_TRACKING = True  # false: a fault that is planted


# --- tracking ----------------------------------------------------------------------------------


@answers(tracking.MAKE)
def _make(tx: Transaction, values: Any) -> int:
    columns = ("subscriber", "topic", "partition")
    return sum(
        tx.insert("tracking", key, **dict(zip(columns, key, strict=True)), offset=-1)
        for key in sorted(zip(*values, strict=True))
    )


@answers(tracking.LOCK)
def _lock(tx: Transaction, values: Any) -> list[Row]:
    found = []
    for key in sorted(zip(*values, strict=True)):
        if tx.get("tracking", key):
            if LOCKS_TRACKING:
                tx.lock(("tracking", key))
            found.append(tx.rows("tracking")[key])
    return found


@answers(tracking.TAKEN)
def _taken(tx: Transaction, values: Any) -> int:
    count = 0
    for subscriber, aggregate_id, version, chain in zip(*values, strict=True):
        row = {
            "subscriber": subscriber,
            "aggregate_id": aggregate_id,
            "version": version,
            "chain": chain,
        }
        count += tx.put("sequences", (subscriber, aggregate_id), row)
    return count


@answers(tracking.MOVED)
def _moved(tx: Transaction, values: Any) -> int:
    offset, *key = values
    return tx.patch("tracking", tuple(key), offset=offset)


@answers(tracking.SEEN)
def _seen(tx: Transaction, values: Any) -> list[Row]:
    return _sequences(tx, values[0], values[1])


@answers('SELECT subscriber, topic, partition, "offset" FROM tracking')
def _offsets(tx: Transaction, values: Any) -> list[Row]:
    return list(tx.rows("tracking").values())


def _sequences(tx: Transaction, ids: Iterable[UUID], names: Iterable[str]) -> list[Row]:
    keys = [(name, its_id) for its_id in ids for name in names]
    return [row for key in keys if (row := tx.get("sequences", key))]


@answers(windows.BEGIN)
def _begin(tx: Transaction, values: Any) -> list[Row]:
    starts, *columns = values
    found = []
    for topic, partition, offset in sorted(zip(*columns, strict=True)):
        place = (topic, partition)
        tx.lock(("underway", place))
        old = tx.get("underway", place)
        counted = starts
        if old and starts == 1:
            if old["offset"] == offset:
                counted = old["starts"] + 1
            elif old["offset"] < offset:
                counted = 2
        row = {"topic": topic, "partition": partition, "offset": offset, "starts": counted}
        tx.put("underway", place, row)
        found.append(chosen(row, "topic", "partition", "starts"))
    return found


@answers(windows.END)
def _end(tx: Transaction, values: Any) -> int:
    return tx.delete("underway", tuple(values))


# --- parking -----------------------------------------------------------------------------------


def _open(tx: Transaction) -> list[Row]:
    rows = [row for row in tx.rows("parking").values() if row["state"] in OPEN]
    return sorted(rows, key=lambda row: (row["version"] or 0, row["id"]))


@answers(parking.KNOWN)
def _known(tx: Transaction, values: Any) -> list[Row]:
    waiting = {
        (row["subscriber"], row["aggregate_id"])
        for row in _open(tx)
        if row["aggregate_id"] in values["ids"]
    }
    nothing = {"version": 0, "chain": None}
    return _sequences(tx, values["ids"], values["names"]) + [
        {"subscriber": name, "aggregate_id": its_id} | nothing for name, its_id in sorted(waiting)
    ]


def _after(tx: Transaction, pause: timedelta | None) -> datetime | None:
    return None if pause is None else tx.database.now() + pause


@answers(parking.PARK)
def _park(tx: Transaction, values: Any) -> int:
    names = (
        "subscriber aggregate_id version type topic partition offset key value headers kind state"
        " reason attempts next_try_at held_until based_on"
    )
    row = dict(zip(names.split(), values, strict=True))
    is_unreadable = row["subscriber"] == ""
    if is_unreadable and any(
        chosen(other, "subscriber", "topic", "partition", "offset")
        == chosen(row, "subscriber", "topic", "partition", "offset")
        for other in _open(tx)
    ):
        return 0
    tx.database.serial += 1
    row |= {
        "id": tx.database.serial,
        "headers": json.loads(row["headers"]),
        "based_on": row["based_on"] and json.loads(row["based_on"]),
        "next_try_at": _after(tx, row["next_try_at"]),
        "is_published": False,
        "is_trying": False,
        "parked_at": tx.database.now(),
    }
    return tx.put("parking", row["id"], row)


@answers(parking.AGAIN)
def _again(tx: Transaction, values: Any) -> int:
    kind, state, reason, attempts, pause, held_until, based_on, its_id = values
    return tx.patch(
        "parking",
        its_id,
        kind=kind,
        state=state,
        reason=reason,
        attempts=attempts,
        next_try_at=_after(tx, pause),
        held_until=held_until,
        based_on=based_on and json.loads(based_on),
        is_trying=False,
    )


@answers(parking.BEGUN)
def _begun(tx: Transaction, values: Any) -> int:
    state, attempts, pause, reason, its_id = values
    row = tx.get("parking", its_id)
    was_cut_off = row is not None and row["is_trying"]
    return tx.patch(
        "parking",
        its_id,
        **({"kind": "failed", "reason": reason} if was_cut_off else {}),
        is_trying=True,
        state=state,
        attempts=attempts,
        next_try_at=_after(tx, pause),
    )


@answers(parking.HEADS)
def _heads(tx: Transaction, values: Any) -> list[Row]:
    heads: dict[tuple[str, UUID], Row] = {}
    for row in _open(tx):
        if row["aggregate_id"] is not None:
            heads.setdefault((row["subscriber"], row["aggregate_id"]), row)
    now = tx.database.now()
    return [
        chosen(row, "id", "subscriber", "aggregate_id", "topic", "partition", "type", "kind")
        | chosen(row, "state", "attempts", "is_trying")
        | {"is_due": row["next_try_at"] is not None and row["next_try_at"] <= now}
        | chosen(row, "held_until", "based_on")
        for _, row in sorted(heads.items(), key=lambda each: each[0])
    ]


@answers(parking.LOAD)
def _load(tx: Transaction, values: Any) -> list[Row]:
    *turn, most = values
    mine = [row for row in _open(tx) if [row["subscriber"], row["aggregate_id"]] == turn][:most]
    for row in mine:
        tx.lock(("parking", row["id"]))
    columns = ("id", "topic", "partition", "offset", "key", "value", "headers", "attempts")
    return [chosen(row, *columns, "held_until") for row in mine]


@answers(parking.RELEASE)
def _release(tx: Transaction, values: Any) -> int:
    return sum(tx.patch("parking", its_id, state="released") for its_id in values[0])


@answers(dead_letters.SHOW + " FOR UPDATE")
def _show(tx: Transaction, values: Any) -> list[Row]:
    row = tx.get("parking", values[0])
    if row is None:
        return []
    tx.lock(("parking", values[0]))
    names = [name.strip().strip('"') for name in dead_letters.COLUMNS.split(",")]
    return [chosen(row, *names, "key", "value", "headers")]


@answers(dead_letters.FIRST)
def _first(tx: Transaction, values: Any) -> list[Row]:
    mine = [row for row in _open(tx) if (row["subscriber"], row["aggregate_id"]) == tuple(values)]
    return [{"id": row["id"]} for row in mine[:1]]


@answers(dead_letters.REDRIVE)
def _redrive(tx: Transaction, values: Any) -> int:
    return tx.patch(
        "parking",
        values[0],
        state="waiting",
        kind="failed",
        attempts=0,
        next_try_at=tx.database.now(),
        held_until=None,
        is_published=False,
    )


# --- deadlines ---------------------------------------------------------------------------------


@answers(subscribers.SET)
def _set(tx: Transaction, values: Any) -> int:
    key = (values["rule"], values["aggregate_id"])
    tx.lock(("deadlines", key))
    row = values | {"fired_at": None, "attempts": 0, "next_try_at": None, "reason": None}
    return tx.put("deadlines", key, row)


@answers(subscribers.LIFT)
def _lift(tx: Transaction, values: Any) -> int:
    return tx.delete("deadlines", (values["rule"], values["aggregate_id"]))


@answers(deadlines.DUE)
def _due(tx: Transaction, values: Any) -> list[Row]:
    until, rules = values
    now = tx.database.now()
    due = [
        row
        for key, row in tx.rows("deadlines").items()
        if row["fired_at"] is None
        and row["due_at"] <= until
        and row["rule"] in rules
        and (row["next_try_at"] is None or row["next_try_at"] <= now)
        and not tx.is_taken("deadlines", key)
    ]
    due.sort(key=lambda row: (row["due_at"], row["rule"], row["aggregate_id"]))
    due = due[: deadlines.AT_ONCE]
    for row in due:
        tx.lock(("deadlines", (row["rule"], row["aggregate_id"])))
    return [chosen(row, "rule", "aggregate_id", "version", "due_at", "attempts") for row in due]


@answers(deadlines.STILL_DUE)
def _still_due(tx: Transaction, values: Any) -> list[Row]:
    rule, aggregate_id, version = values
    tx.lock(("deadlines", (rule, aggregate_id)))
    row = tx.get("deadlines", (rule, aggregate_id))
    return [{}] if row and row["version"] == version and row["fired_at"] is None else []


@answers(deadlines.POSTPONE)
def _put_off(tx: Transaction, values: Any) -> int:
    key = values["rule"], values["aggregate_id"]
    row = tx.get("deadlines", key)
    if row is None or row["version"] != values["version"]:
        return 0
    attempts = row["attempts"] + values["tries"]
    pause = values["pauses"][min(attempts, values["most"]) - 1]
    return tx.patch(
        "deadlines",
        key,
        attempts=attempts,
        reason=values["reason"],
        next_try_at=tx.database.now() + timedelta(seconds=pause),
    )


@answers(deadlines.FIRED)
def _fired(tx: Transaction, values: Any) -> int:
    at, rule, aggregate_id, version = values
    row = tx.get("deadlines", (rule, aggregate_id))
    if row is None or row["version"] != version:
        return 0
    return tx.patch("deadlines", (rule, aggregate_id), fired_at=at)


# --- errands -----------------------------------------------------------------------------------


@answers(subscribers.ASK)
def _ask(tx: Transaction, values: Any) -> int:
    now = tx.database.now()
    row = values | {
        "asked_at": now,
        "attempts": 0,
        "next_try_at": now,
        "held_by": None,
        "held_until": None,
        "reason": None,
    }
    return tx.insert("errands", (values["rule"], values["aggregate_id"]), **row)


@answers(subscribers.ENDED)
def _ended(tx: Transaction, values: Any) -> int:
    return tx.delete("errands", (values["rule"], values["aggregate_id"]))


@answers(outbound.END)
def _errand_done(tx: Transaction, values: Any) -> int:
    return tx.delete("errands", key) if (key := _errand(tx, values)) else 0


def _errand(tx: Transaction, values: Any) -> tuple[str, UUID] | None:
    """Its key, if it is still of the version that was told."""
    key = values["rule"], values["id"]
    row = tx.get("errands", key)
    return key if row and row["version"] == values["version"] else None


@answers(outbound.HOLD)
def _hold(tx: Transaction, values: Any) -> list[Row]:
    now = tx.database.now()
    due = [
        (key, row)
        for key, row in tx.rows("errands").items()
        if row["rule"] == values["rule"]
        and row["next_try_at"] <= now
        and (row["held_until"] or now) <= now
        and not tx.is_taken("errands", key)
    ]
    due.sort(key=lambda each: each[1]["next_try_at"])
    held = []
    for key, row in due[: values["most"]]:
        until = now + timedelta(seconds=2 * outbound.TIME_LIMIT)
        changed = {"attempts": row["attempts"] + 1, "held_by": values["me"], "held_until": until}
        tx.patch("errands", key, **changed)
        held.append(
            chosen(row, "aggregate_id", "version")
            | {"attempts": row["attempts"] + 1, "waited": now - row["asked_at"]}
            | chosen(row, "correlation_id", "causation_id")
        )
    return held


@answers(outbound.LET_GO)
def _let_go(tx: Transaction, values: Any) -> int:
    mine = [
        (key, outbound.nth(tuple(values["pauses"]), row["attempts"]))
        for key, row in tx.rows("errands").items()
        if (row["rule"], row["held_by"]) == (values["rule"], values["me"]) and row["held_until"]
    ]
    now = tx.database.now()
    return sum(
        tx.patch("errands", key, held_until=None, next_try_at=now + timedelta(seconds=pause))
        for key, pause in mine
    )


@answers(outbound.POSTPONE)
def _postpone(tx: Transaction, values: Any) -> int:
    key = _errand(tx, values)
    if key is None:
        return 0
    return tx.patch(
        "errands",
        key,
        held_until=None,
        reason=values["reason"],
        next_try_at=tx.database.now() + timedelta(seconds=values["pause"]),
    )


@begins("SELECT EXISTS (SELECT FROM parked")
def _is_parked(tx: Transaction, values: Any) -> list[Row]:
    return [{"exists": any(row["aggregate_id"] == values[0] for row in _open(tx))}]


@answers(tracking.REOFFERED)
def _reoffered(tx: Transaction, values: Any) -> list[Row]:
    """No store is restored here."""
    return []
