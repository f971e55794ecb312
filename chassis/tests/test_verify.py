"""Store against topics, on real parts: what is healthy is said to be, each difference is found."""

import itertools
from collections import Counter
from typing import Any

import psycopg
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from chassis.publishing.topics import dead_letters_of
from chassis.recovery.differences import KINDS
from chassis.recovery.letters import LettersVerified
from chassis.recovery.log import TopicMissing
from chassis.recovery.runs import verify
from chassis.recovery.verifying import Verified
from prm_contracts.facts import Topic

from .publishing import Writer, after, published, rows_of, store_on, tallied, writer
from .reactions import Sample, Setup

Planted = list[tuple[str, int | None]]


async def verified(setup: Setup) -> tuple[Verified, LettersVerified]:
    sample = Sample(setup.run)
    return await verify(setup.dsn, setup.bootstrap, sample.name, sample.topics)


def execute(setup: Setup, statement: str, *values: object) -> None:
    with psycopg.connect(setup.dsn) as owner:
        owner.execute(statement.encode(), values)


async def test_a_healthy_store_agrees_with_its_topics(setup: Setup) -> None:
    async with store_on(setup.dsn) as events:
        ids = await tallied(events, 7)
        await tallied(events, 33, ids)
        await published(setup, 40)
        await tallied(events, 2, ids)  # no relay runs
    async with writer(setup) as strange:
        [first, *_] = rows_of(setup.dsn)
        await strange.write(first)
        await strange.raw(None, b"noise", [])
        await strange.write(after(first), ce_source="urn:prm:somebody")

    found, _ = await verified(setup)

    assert not found.findings.counts, found.findings.shown
    assert (found.facts, found.records, found.unpublished) == (42, 43, 2)
    assert (found.repeats, found.foreign) == (1, 2)


async def test_a_topic_that_is_not_there_leaves_nothing_to_compare(setup: Setup) -> None:
    strange = Topic[Any]("prm.nowhere", (), "sample", 1)

    with pytest.raises(TopicMissing, match=r"prm\.nowhere"):
        await verify(setup.dsn, setup.bootstrap, "sample", [strange])


async def test_each_kind_of_difference_is_found(setup: Setup) -> None:
    async with store_on(setup.dsn) as events, writer(setup) as hand:
        ids = await tallied(events, 20)
        await tallied(events, 3, [ids[1]])  # its versions 2 to 4 lie at positions 21 to 23
        await published(setup, 23)
        planted = await plant_in_what_is_published(setup, hand)
        await tallied(events, 8)
        planted += await plant_while_publishing(setup, hand)
    planted += await plant_letters(setup)

    found, letters = await verified(setup)

    shown = [(it.kind, it.position) for it in found.findings.shown]
    assert Counter(shown) == Counter(planted), found.findings.shown
    assert {kind for kind, _ in planted} == set(KINDS)
    assert letters.copies == 3


async def plant_in_what_is_published(setup: Setup, hand: Writer) -> Planted:
    rows = rows_of(setup.dsn)
    execute(setup, "DELETE FROM events WHERE position IN (3, 22)")
    execute(setup, "UPDATE events SET data = data || ' ' WHERE position = 5")
    execute(setup, "UPDATE events SET correlation_id = gen_random_uuid() WHERE position = 7")
    await hand.write(after(rows[8]))  # claims position 10, which is another's
    lost = after(rows[0])._replace(position=98)
    await hand.write(lost)
    await hand.write(after(lost))
    await hand.write(after(rows[1])._replace(position=97))  # that has a version 2
    admin = AIOKafkaAdminClient(bootstrap_servers=setup.bootstrap)
    await admin.start()
    place = TopicPartition(Sample(setup.run).tallies.name, hand.partition(rows[0]))
    await admin.delete_records({place: RecordsToDelete(before_offset=1)})
    await admin.close()
    return [
        *(("position-missing", 3), ("position-missing", 22), ("version-missing", 23)),
        *(("chain-broken", 5), ("record-differs", 5), ("record-differs", 7)),
        *(("not-stored", position) for position in (3, 10, 22, 98, 99)),
        *(("fork", 97), ("offsets-gone", None), ("not-published", 1)),
    ]


async def plant_while_publishing(setup: Setup, hand: Writer) -> Planted:
    """From position 24 on: one is left out, one lies elsewhere, two are the wrong way round."""
    _, astray, *others = [row for row in rows_of(setup.dsn) if row.position >= 24]
    await hand.write(astray, 1 - hand.partition(astray))
    [first, second] = next(
        pair
        for pair in itertools.combinations(others, 2)
        if hand.partition(pair[0]) == hand.partition(pair[1])
    )
    others.remove(first)
    others.insert(others.index(second) + 1, first)
    for row in others:
        await hand.write(row)
    execute(setup, "UPDATE relay SET position = 31")
    return [("not-published", 24), ("misplaced", 25), ("out-of-order", first.position)]


async def plant_letters(setup: Setup) -> Planted:
    topic, letters = Sample(setup.run).orders.name, dead_letters_of(Sample(setup.run).name)
    for offset in range(3):
        execute(
            setup,
            'INSERT INTO parking (subscriber, type, topic, partition, "offset", value, headers,'
            " kind, state, reason, is_published) VALUES ('policies', '', %s, 0, %s, 'x', '[]',"
            " 'failed', 'dead', '', true)",
            *(topic, offset),
        )
    async with writer(setup) as hand:
        for offset, value in ((1, b"x"), (2, b"y"), (3, b"x")):  # 0 has no copy, 3 no row
            place = {"prm_topic": topic, "prm_partition": "0", "prm_offset": str(offset)}
            told = place | {"prm_subscriber": "policies", "prm_reason": ""}
            headers = [(name, text.encode()) for name, text in told.items()]
            await hand.raw(None, value, headers, topic=letters)
    return [(f"letter-{it}", None) for it in ("not-published", "differs", "not-stored")]
