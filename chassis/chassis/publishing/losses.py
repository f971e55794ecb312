"""What a broker has lost of what it had acknowledged: from where on a relay publishes again.

A broker answers before its disk has the record, and a topic can be made anew. What lies behind the
last record of a partition in the store, and was confirmed, is on no topic any more.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, LiteralString

from chassis.consuming.tracking import Place
from chassis.publishing.topics import partition_of
from chassis.storage.rounds import Connection
from chassis.storage.wire import id_text
from prm_contracts.facts import Topic, unversioned

STEP = 1_000  # positions looked at together; further down only as long as some are missing
CONFIRMED: LiteralString = (
    "SELECT position, aggregate_id, type FROM events WHERE position > %s AND position <= %s"
    " ORDER BY position"
)
FIRST: LiteralString = (
    "SELECT position FROM events WHERE position <= %s"
    " AND regexp_replace(type, '[.]v[0-9]+$', '') = ANY (%s) ORDER BY position LIMIT 1"
)


async def first_lost(
    connection: Connection,
    topics: Sequence[Topic[Any]],
    topic_of: Callable[[str], Topic[Any]],
    lasts: Mapping[Place, int],
    confirmed: int,
) -> int | None:
    """The first confirmed position that is on no topic; None: they are all there.

    `lasts`: the highest position at each partition's end. A gap before what lies there is not seen:
    that is for `prm verify` to find.
    """
    found = await _first_of_empty_topics(connection, topics, lasts, confirmed)
    stop = confirmed
    while stop > 0:
        rows = (await connection.now(CONFIRMED, (stop - STEP, stop))).rows
        lost = [
            position
            for position, aggregate_id, fact_type in rows
            if position > lasts.get(_place(topic_of(fact_type), aggregate_id), 0)
        ]
        if not lost:
            break
        found, stop = min(lost[0], found or lost[0]), stop - STEP
    return found


def _place(topic: Topic[Any], aggregate_id: Any) -> Place:
    return Place(topic.name, partition_of(id_text(aggregate_id).encode(), topic))


async def _first_of_empty_topics(
    connection: Connection, topics: Sequence[Topic[Any]], lasts: Mapping[Place, int], confirmed: int
) -> int | None:
    """Of a topic that was made anew all may be older than what is looked at otherwise."""
    known = {place.topic for place in lasts}
    facts = [fact for topic in topics if topic.name not in known for fact in topic.facts]
    if not facts or not confirmed:
        return None
    names = [unversioned(fact.fact_type) for fact in facts]
    rows = (await connection.now(FIRST, (confirmed, names))).rows
    return int(rows[0][0]) if rows else None
