"""What PostgreSQL answers to the statements of the delivery."""

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from chassis.consuming import dead_letters, parking, tracking, windows

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


@begins("SELECT EXISTS (SELECT FROM parked")
def _is_parked(tx: Transaction, values: Any) -> list[Row]:
    return [{"exists": any(row["aggregate_id"] == values[0] for row in _open(tx))}]


@answers(tracking.REOFFERED)
def _reoffered(tx: Transaction, values: Any) -> list[Row]:
    """No store is restored here."""
    return []
