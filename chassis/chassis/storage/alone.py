"""A fact that is alone in its batch, appended by a plain statement: to enter the function `append`
costs more than the statement does.

It answers with no row, and has changed nothing, where the function has something to find out: a
version that is taken or that skips one, a command that is known.
"""

from collections.abc import Sequence
from datetime import datetime

from chassis.storage.calls import Asked, Prepared
from chassis.storage.new_facts import COLUMNS, NULL, Instants, NewCommand, Texts, instant
from chassis.storage.postgres import PLANNED_ONCE

# What both statements take for granted is the session's; `append` looks with each call.
SETTINGS = {
    **PLANNED_ONCE,
    "enable_bitmapscan": "off",
    "default_transaction_isolation": r"read\ committed",
}
DURABLE = Prepared(
    b"durable",
    b"SELECT set_config('synchronous_commit', 'on', false)"
    b" WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')",
)
# A statement's snapshot is older than a lock that it takes: this goes before it.
LOCK = Prepared(b"lock", b"SELECT lock_append()")
# The fields of NewFact, the command's answer where its facts do not tell it, and now.
APPEND = Prepared(
    b"alone",
    b"""
INSERT INTO events
SELECT coalesce(position, 0) + 1, $1, $2, $3, $4, $6, $7,
    greatest($16, recorded_at + interval '1 microsecond'), $8, $9, $10, $11, $12, $13, $14,
    sha256(previous || $5), $15::jsonb
FROM (SELECT CASE $2 WHEN 1 THEN decode(repeat('00', 32), 'hex') ELSE (
        SELECT chain FROM events WHERE aggregate_id = $1 AND version = $2 - 1) END AS previous
    OFFSET 0) AS before
LEFT JOIN (SELECT position, recorded_at FROM events ORDER BY position DESC LIMIT 1) AS last ON true
WHERE previous IS NOT NULL AND NOT EXISTS (SELECT FROM outcomes WHERE command_id = $9)
ON CONFLICT DO NOTHING RETURNING position""",
    [*(kind.element for kind, _ in COLUMNS), Texts.element, Instants.element],
)


def statements(command: NewCommand, now: datetime) -> Sequence[Asked]:
    """To append its only fact. They answer with the position."""
    [fact] = command.facts
    told = command.told()
    packed = (pack(value) for (_, pack), value in zip(COLUMNS, fact, strict=True))
    # Without its length, which an element of an array has before it.
    values = [None if each == NULL else each[4:] for each in packed]
    return (LOCK, ()), (APPEND, [*values, told.encode() if told else None, instant(now)[4:]])
