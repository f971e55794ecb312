"""Which records of a topic are handed out: each fact once, in the chain of its aggregate."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from chassis.consuming.records import Envelope, Record, StoredRow, headers_of, read_envelope
from chassis.storage.wire import FIRST_CHAIN, chained, fact_digest
from ops.facts import Chains

OWNER = "deal-svc"
DEAL, NOW = UUID(int=1), datetime(2027, 3, 1, 9, tzinfo=UTC)


def written(version: int, before: bytes = FIRST_CHAIN, data: bytes = b"{}") -> Envelope:
    identity: dict[str, Any] = {
        "aggregate_id": DEAL,
        "version": version,
        "type": "prm.deal.DealCleared.v1",
        "event_id": uuid4(),
        "occurred_at": NOW,
        "actor_id": DEAL,
        "data": data,
    }
    row = StoredRow(
        **identity,
        position=version,
        recorded_at=NOW,
        command_id=DEAL,
        request_hash="",
        correlation_id=DEAL,
        causation_id=None,
        traceparent="",
        chain=chained(before, fact_digest(**identity)),
    )
    headers = tuple(headers_of(row, OWNER))
    return read_envelope(Record("prm.deals", 0, version, str(DEAL).encode(), data, headers), OWNER)


def test_each_fact_is_taken_once_and_what_is_forged_is_not() -> None:
    chains, first = Chains(), written(1)
    second = written(2, first.chain)
    forged = written(2, data=b'{"forged": true}')

    taken = [it for it in (first, forged, second, first, second) if chains.takes(it)]

    assert taken == [first, second]
    assert chains.missing == {}


def test_what_is_behind_a_version_that_never_came_is_left_out_and_told() -> None:
    chains, first = Chains(), written(1)
    second = written(2, first.chain)
    third = written(3, second.chain)

    taken = [it for it in (first, third) if chains.takes(it)]

    assert taken == [first]
    assert chains.missing == {DEAL: 2}


def test_what_came_before_its_turn_is_not_missing_once_the_rest_is_there() -> None:
    chains, first = Chains(), written(1)
    early = written(7, first.chain)

    assert [chains.takes(it) for it in (early, first, written(2, first.chain))] == [
        False,
        True,
        True,
    ]
    assert chains.missing == {}
