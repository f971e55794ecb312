"""What PostgreSQL answers to the statements of errands."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from chassis.consuming import outbound, subscribers

from .database import Row, Transaction, chosen
from .statements import answers


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
