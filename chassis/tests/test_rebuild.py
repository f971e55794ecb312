"""A read model is filled anew beside the one in use, and put in its place."""

import asyncio
from collections.abc import Awaitable
from uuid import UUID, uuid4

import psycopg
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from chassis.consuming.dead_letters import DeadLetters
from chassis.consuming.reading import HoleInTopic
from chassis.rebuilding import rebuild as rebuilding
from chassis.rebuilding.folding import NotFoldable, Redriven
from chassis.rebuilding.rebuild import (
    Differs,
    NeverFree,
    NoSuchReadModel,
    RebuildRunning,
    Verdict,
    listed,
)
from chassis.rebuilding.shadow import Tied
from chassis.rebuilding.topics import TrackedAhead, TrackingMoved
from chassis.storage.postgres import PooledReads
from chassis.testing import a_command, event_store

from .listings import (
    COUNTS,
    Listing,
    asked_by,
    counting,
    levelled,
    ordered,
    tally_twice,
    under_load,
)
from .reactions import Ordered, Stranger, running, until


async def test_a_rebuild_under_load_ends_with_the_same_rows_and_no_reader_sees_less(
    listing: Listing, orders: Stranger
) -> None:
    made_of = listing.made_of()
    async with running(listing.worker()), under_load(orders) as ids:
        await until(lambda: listing.rows(COUNTS)[0][0] >= 50, within=90)
        async with counting(listing) as seen:
            verdicts = [await listing.rebuild() for _ in range(2)]
            told = len(ids)
            await until(lambda: listing.rows(COUNTS)[0][0] >= told, within=90)

    assert all(verdict.is_equal and verdict.facts for verdict in verdicts)
    assert seen == sorted(seen)
    assert len(set(seen)) > 1
    assert listing.rows(COUNTS)[0][1]
    assert (await listing.verify()).is_equal
    assert listing.made_of() == made_of
    assert listing.leftovers() == []


async def test_who_may_see_a_row_may_see_it_afterwards_and_nobody_else(
    listing: Listing, orders: Stranger
) -> None:
    await orders.say(uuid4(), *ordered(2))
    await levelled(listing, 2)

    await listing.rebuild()

    counted = []
    for side, tenant in (("vendor", ""), ("partner", str(UUID(int=9))), ("partner", str(uuid4()))):
        with asked_by(listing.reader, side, tenant) as reader:
            counted += reader.execute("SELECT count(*) FROM order_list").fetchall()[0]
    assert counted == [1, 1, 0]


async def test_two_rebuilds_of_one_read_model_are_refused(listing: Listing) -> None:
    async with asyncio.TaskGroup() as both:
        tasks = [both.create_task(outcome(listing.rebuild())) for _ in range(2)]

    assert [type(task.result()) for task in tasks] == [Verdict, RebuildRunning]


async def outcome(rebuild: Awaitable[Verdict]) -> Verdict | RuntimeError:
    try:
        return await rebuild
    except RuntimeError as refusal:
        return refusal


PLANTED = {
    "UPDATE order_list SET document = document || '{\"count\": 7}'": "changed: order_id {}: doc",
    "UPDATE order_list SET version = version - 1": "changed: order_id {}: version",
    "DELETE FROM order_list": "missing: order_id {}",
    "INSERT INTO order_list SELECT gen_random_uuid(), 1, owner, 'x', '{\"note\": \"x\"}'"
    " FROM order_list": "too many: order_id",
    "UPDATE sequences SET version = version + 1": "{} is tracked at 3, by its facts it is at 2",
    "UPDATE sequences SET chain = ''": "{} is tracked at 2, by its facts it is at 2",
    "DELETE FROM sequences": "{} is tracked at None, by its facts it is at 2",
    'UPDATE tracking SET "offset" = -1': "{} is tracked at 2, by its facts it is at None",
    'UPDATE tracking SET "offset" = "offset" + 9': "10 is tracked, but it ends at 2",
}
KEPT = {
    "order_list": "order_id, version, owner, sort_key, document",
    "sequences": "subscriber, aggregate_id, version, chain",
    "tracking": 'subscriber, topic, partition, "offset"',
}


async def test_every_difference_from_the_log_is_found_and_named(
    listing: Listing, orders: Stranger
) -> None:
    order = uuid4()
    await orders.say(order, *ordered(2))
    await levelled(listing, 2)
    assert (await listing.verify()).is_equal

    listing.run("CREATE SCHEMA kept")
    for table in KEPT:
        listing.run(f"CREATE TABLE kept.{table} AS SELECT * FROM {table}")

    for plant, found in PLANTED.items():
        listing.run(plant)

        verdict = await listing.verify()

        assert not verdict.is_equal
        assert any(found.format(order) in line for line in verdict.lines()), [*verdict.lines()]
        for table, columns in KEPT.items():
            back = f"INSERT INTO {table} ({columns}) SELECT {columns} FROM kept.{table}"
            listing.run(f"TRUNCATE {table}; {back}")

    assert (await listing.verify()).is_equal


async def test_a_difference_is_told_and_the_table_stays_unless_it_is_accepted(
    listing: Listing, orders: Stranger
) -> None:
    await orders.say(uuid4(), *ordered(1))
    await levelled(listing, 1)
    assert listed(listing.service, listing.dsn)[0].rows == 1
    listing.run("UPDATE order_list SET owner = order_id")
    before = listing.rows("SELECT * FROM order_list")

    with pytest.raises(Differs, match="1 rows, 1 by its log: 1 are changed, 0 are missing"):
        await listing.rebuild()
    assert listing.rows("SELECT * FROM order_list") == before
    await listing.rebuild(accepts=True)

    assert listing.rows("SELECT owner FROM order_list") == [(UUID(int=9),)]
    [shown, _] = listed(listing.service, listing.dsn)
    assert str(shown.rebuilt).endswith("from 1 facts")


async def discard(dsn: str, order: UUID) -> None:
    """The first of its facts that waits."""
    reads = PooledReads(dsn, 1)
    await reads.open()
    [first] = [it for it in await DeadLetters(reads).list(None) if it.aggregate_id == order][:1]
    await DeadLetters(reads).discard(first.id)
    await reads.close()


@pytest.mark.parametrize(
    "plant", ['UPDATE tracking SET "offset" = -1', "UPDATE sequences SET version = version + 1"]
)
async def test_what_was_tracked_wrongly_is_right_after_a_rebuild(
    listing: Listing, orders: Stranger, plant: str
) -> None:
    order = uuid4()
    await orders.say(order, *ordered(2))
    await levelled(listing, 2)
    listing.run(plant)

    await listing.rebuild(accepts=True)
    await orders.say(order, *ordered(1))
    await levelled(listing, 3)

    assert listing.rows(COUNTS) == [(1, True)]
    assert (await listing.verify()).is_equal


async def test_what_is_tracked_beyond_the_end_of_a_topic_is_refused_at_once(
    listing: Listing, orders: Stranger
) -> None:
    await orders.say(uuid4(), *ordered(2))
    await levelled(listing, 2)
    listing.run('UPDATE tracking SET "offset" = "offset" + 9')

    with pytest.raises(TrackedAhead, match="10 is tracked, but it ends at 2"):
        await listing.rebuild(accepts=True)


async def test_facts_without_effect_here_have_none_in_a_rebuild(
    listing: Listing, orders: Stranger
) -> None:
    """Parked, discarded, repeated ones, and what was never a fact."""
    kept, dead, refused = uuid4(), uuid4(), uuid4()
    said = await orders.say(kept, *ordered(2), Ordered(note="gone"), *ordered(1))
    await orders.send(*said[:3])
    await orders.send_raw(b"x", b"{", [("ce_type", b"prm.order.Ordered.v1")])
    await orders.say(dead, *ordered(1), Ordered(note="fails"), *ordered(1))
    await orders.say(refused, Ordered(note="refused"), *ordered(2))
    async with running(listing.worker()):
        await until(lambda: listing.tracked() == 14)
        await until(lambda: listing.rows("SELECT * FROM parking WHERE kind = 'failed'")[1:])
        assert (await listing.rebuild()).is_equal
        await discard(listing.dsn, refused)
        await until(lambda: listing.rows(COUNTS)[0][0] == 3)

    assert (await listing.rebuild()).is_equal
    assert listing.rows("SELECT version FROM order_list ORDER BY 1") == [(1,), (3,), (4,)]


async def test_a_fact_that_fits_no_more_is_named(listing: Listing, orders: Stranger) -> None:
    order = uuid4()
    await orders.say(order, *ordered(1), Ordered(note="refused"))
    async with running(listing.worker()):
        await until(lambda: listing.tracked() == 2)
    listing.run("DELETE FROM parking")

    with pytest.raises(NotFoldable, match=f"version 2 of {order}: .*violates check constraint"):
        await listing.rebuild()


async def test_a_model_kept_with_the_append_is_rebuilt_from_the_store(listing: Listing) -> None:
    async with event_store(listing.dsn) as events:
        for _ in range(3):
            await events.execute(tally_twice, a_command())
        assert (await listing.rebuild("tallied")).is_equal
        await events.execute(tally_twice, a_command())
        verdict = await listing.verify("tallied")
        listing.run("UPDATE all_tallied SET facts = 5")
        planted = await listing.verify("tallied")

    assert verdict.is_equal
    assert [table.rows for table in verdict.tables] == [(4, 4), (1, 1)]
    assert [table.is_equal for table in planted.tables] == [True, False]
    await listing.rebuild("tallied", accepts=True)
    assert listing.rows("SELECT facts FROM all_tallied") == [(8,)]


@pytest.mark.parametrize(
    ("meanwhile", "refusal"),
    [
        ("UPDATE parking SET state = 'released'", Redriven),
        ('UPDATE tracking SET "offset" = -1', TrackingMoved),
    ],
)
async def test_what_is_set_back_or_redriven_meanwhile_is_not_missed(
    listing: Listing,
    orders: Stranger,
    meanwhile: str,
    refusal: type[Exception],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rebuilding, "NEAR", 0)
    await orders.say(uuid4(), *ordered(1), Ordered(note="fails"))
    await levelled(listing, 2)
    listing.meanwhile = meanwhile

    with pytest.raises(refusal):
        await listing.rebuild()

    assert listing.leftovers() == []


async def test_a_topic_whose_beginning_is_gone_is_refused(
    listing: Listing, orders: Stranger
) -> None:
    await orders.say(uuid4(), *ordered(3))
    await levelled(listing, 3)
    admin = AIOKafkaAdminClient(bootstrap_servers=listing.setup.bootstrap)
    await admin.start()
    topic = listing.service.orders.name
    gone = {TopicPartition(topic, number): RecordsToDelete(-1) for number in range(2)}
    await admin.delete_records(gone)
    await admin.close()

    with pytest.raises(HoleInTopic, match="begins at"):
        await listing.rebuild()


async def test_a_table_that_somebody_holds_on_to_stays(
    listing: Listing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "TRIES", 2)
    with psycopg.connect(listing.dsn) as holder:
        holder.execute("SELECT * FROM order_list")
        with pytest.raises(NeverFree):
            await listing.rebuild()

    assert [line for line in listing.told if "LockNotAvailable" in line]
    assert (await listing.rebuild()).is_equal


async def test_what_holds_on_to_a_table_is_named_before_anything_is_done(listing: Listing) -> None:
    listing.run("CREATE VIEW orders_of_today AS SELECT * FROM order_list")

    with pytest.raises(Tied, match="view orders_of_today"):
        await listing.rebuild()


async def test_read_models_are_listed_and_others_refused(listing: Listing) -> None:
    with pytest.raises(NoSuchReadModel, match="order_list, tallied"):
        await listing.rebuild("orders")

    assert [(it.name, it.fed_by) for it in listed(listing.service, listing.dsn)] == [
        ("order_list", listing.service.orders.name),
        ("tallied", "the append"),
    ]
