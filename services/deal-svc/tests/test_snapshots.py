"""Every aggregate is the same again from its snapshot: long lines and price books need theirs."""

from typing import Any

import pytest

from chassis.aggregates import Aggregate
from chassis.storage.snapshots import restored, snapshot_of
from deal_svc.domain.customer import Customer
from deal_svc.domain.exclusivity import Exclusivity
from deal_svc.domain.price_book import PriceBook
from deal_svc.domain.reservation import KeyReservation

from .cast import (
    APPROVED,
    CUSTOMER,
    DEAL,
    HOFFMANN,
    IN_REVIEW_FACTS,
    LINE,
    OPERATIONS,
    PRICE_BOOK,
    RIVAL_DEAL,
    UNTIL,
    given,
)
from .test_exclusivity import line_of


def a_line() -> Exclusivity:
    line = line_of((DEAL, "Munich"), (RIVAL_DEAL, None))
    line.grant(DEAL, UNTIL.at)
    return line


def a_customer() -> Customer:
    customer = Customer(CUSTOMER)
    customer.resolve(HOFFMANN)
    return customer


def a_price_book() -> PriceBook:
    book = PriceBook(PRICE_BOOK)
    book.define_family(OPERATIONS, "backup", "Backup")
    return book


def a_reservation() -> KeyReservation:
    key = KeyReservation(LINE)
    key.reserve("customer-name", CUSTOMER)
    return key


@pytest.mark.parametrize(
    "aggregate",
    [
        given(*IN_REVIEW_FACTS),
        given(*IN_REVIEW_FACTS, APPROVED),
        a_line(),
        a_customer(),
        a_price_book(),
        a_reservation(),
    ],
    ids=lambda aggregate: type(aggregate).__name__,
)
def test_an_aggregate_is_the_same_from_its_snapshot(aggregate: Aggregate[Any]) -> None:
    aggregate.pending.clear()

    snapshot = snapshot_of(aggregate)

    assert snapshot is not None
    again = type(aggregate)(aggregate.id)
    restored(again, snapshot.version, snapshot.state)
    assert vars(again) == vars(aggregate)
