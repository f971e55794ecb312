"""A few facts of different streams, appended by a plain statement, for the same reason as one that
is `alone`; it answers with no row, and has changed nothing, in the same cases.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from chassis.storage.alone import LOCK
from chassis.storage.calls import Asked, Prepared
from chassis.storage.new_facts import TYPES, NewCommand, append_arguments

FEW = 16  # beyond that its look-ups cost what the function does
# The arguments of `append`, but for its flags. All or none: what ON CONFLICT left out would be a
# gap, so versions and commands are looked up before; with the lock nothing happens in between.
APPEND = Prepared(
    b"apart",
    b"""
INSERT INTO events
SELECT coalesce(position, 0) + place, $1[place], $2[place], $3[place], $4[place], $6[place],
    $7[place], greatest($16, recorded_at + interval '1 microsecond')
        + (place - 1) * interval '1 microsecond',
    $8[place], $9[place], $10[place], $11[place], $12[place], $13[place], $14[place],
    sha256(CASE $2[place] WHEN 1 THEN decode(repeat('00', 32), 'hex') ELSE (
        SELECT chain FROM events WHERE aggregate_id = $1[place] AND version = $2[place] - 1) END
        || $5[place]), $15[place]::jsonb
FROM generate_series(1, cardinality($1)) AS place
LEFT JOIN (SELECT position, recorded_at FROM events ORDER BY position DESC LIMIT 1) AS last ON true
WHERE NOT EXISTS (SELECT FROM outcomes WHERE command_id = ANY ($9))
    AND NOT EXISTS (SELECT FROM events WHERE command_id = ANY ($9) AND command_place = 1)
    AND NOT EXISTS (
        SELECT FROM generate_series(1, cardinality($1)) AS given
        WHERE $2[given] <> 1 + coalesce((
            SELECT version FROM events WHERE aggregate_id = $1[given]
            ORDER BY version DESC LIMIT 1), 0))
RETURNING position""",
    TYPES[:16],
)


def are_apart(commands: Iterable[NewCommand]) -> bool:
    """A few facts, no two of the same stream."""
    ids = [fact.aggregate_id for command in commands for fact in command.facts]
    return len(set(ids)) == len(ids) <= FEW


def statements(commands: Iterable[NewCommand], now: datetime) -> Sequence[Asked]:
    """They answer with each position."""
    return (LOCK, ()), (APPEND, append_arguments(commands, now)[: len(APPEND.types)])
