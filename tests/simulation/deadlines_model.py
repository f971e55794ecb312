"""What PostgreSQL answers to the statements of deadlines."""

from datetime import timedelta
from typing import Any

from chassis.consuming import deadlines, subscribers

from .database import Row, Transaction, chosen
from .statements import answers


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
