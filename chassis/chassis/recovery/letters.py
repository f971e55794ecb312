"""The topic of dead letters compared with the table that it is the published copy of."""

from dataclasses import dataclass
from typing import Any, LiteralString, NamedTuple

from psycopg import AsyncConnection

from chassis.consuming.parking import unpacked
from chassis.consuming.records import Record
from chassis.consuming.tracking import Place
from chassis.publishing.topics import dead_letters_of
from chassis.recovery.differences import Difference, Findings
from chassis.recovery.log import Log, Queue

PUBLISHED: LiteralString = (
    'SELECT id, topic, partition, "offset", aggregate_id, version FROM parking WHERE is_published'
)
ROW: LiteralString = """
SELECT id, key, value, headers FROM parking
WHERE topic = %s AND partition = %s AND "offset" = %s AND subscriber = %s ORDER BY id DESC"""
FROM: LiteralString = "SELECT coalesce(max(letters), 0) FROM restorations"


@dataclass
class LettersVerified:
    """`copies` on the topic; `old`: those of before the store was brought back from its topics."""

    copies: int = 0
    old: int = 0


class Copy(NamedTuple):
    """Of which record, for which subscriber; and the headers that the record came with."""

    place: tuple[str, int, int]
    subscriber: str
    headers: tuple[tuple[str, bytes], ...]


def read_copy(record: Record) -> Copy | None:
    """None: the delivery did not write it."""
    told = dict(record.headers)
    try:
        topic, subscriber = told["prm_topic"].decode(), told["prm_subscriber"].decode()
        place = (topic, int(told["prm_partition"]), int(told["prm_offset"]))
    except (KeyError, ValueError):
        return None
    own = tuple(it for it in record.headers if not it[0].startswith("prm_"))
    return Copy(place, subscriber, own)


async def verify_letters(
    connection: AsyncConnection[Any], service: str, bootstrap: str, findings: Findings
) -> LettersVerified:
    """Raises TopicMissing, and the errors of psycopg, aiokafka and sockets."""
    told = await (await connection.execute(PUBLISHED)).fetchall()
    [(restored,)] = await (await connection.execute(FROM)).fetchall()
    result, seen = LettersVerified(), set[int]()
    async with Log(bootstrap, [Place(dead_letters_of(service), 0)]) as log:
        for place in log.bounds:
            queue = Queue(log, place)
            while await queue.head():
                result.copies += 1
                copy = queue.pop()
                if await _compared(connection, copy, seen, findings):
                    continue
                if copy.offset < restored:
                    result.old += 1
                else:
                    where = f"{copy.topic}/{copy.partition}/{copy.offset}"
                    what = "the table does not have it"
                    findings.add(Difference("letter-not-stored", what, where=where))
    for number, topic, partition, offset, aggregate_id, version in told:
        if number not in seen:
            what, where = f"letter {number} is not on the topic", f"{topic}/{partition}/{offset}"
            findings.add(
                Difference("letter-not-published", what, None, aggregate_id, version, where)
            )
    return result


async def _compared(
    connection: AsyncConnection[Any], record: Record, seen: set[int], findings: Findings
) -> bool:
    """Whether the table has it."""
    copy = read_copy(record)
    if copy is None:
        return False
    found = await connection.execute(ROW, (*copy.place, copy.subscriber))
    rows = await found.fetchall()
    seen.update(row[0] for row in rows)
    if not rows:
        return False
    _, key, value, headers = rows[0]
    right = (key, value if value is not None else b"", dict(unpacked(headers)))
    if (record.key, record.value, dict(copy.headers)) != right:
        where = f"{record.topic}/{record.partition}/{record.offset}"
        findings.add(Difference("letter-differs", f"letter {rows[0][0]} is not as it", where=where))
    return True
