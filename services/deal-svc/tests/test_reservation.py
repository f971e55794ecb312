"""A key has one holder at a time."""

import pytest

from deal_svc.domain.reservation import KeyReservation, KeyTaken, reservation_id
from prm_contracts.customers import DealKeyReleased, DealKeyReserved

from .cast import CUSTOMER, DEAL

KEY = reservation_id("customer-domain", "hoffmann.example")


def test_a_free_key_is_reserved() -> None:
    key = KeyReservation(KEY)

    key.reserve("customer-domain", CUSTOMER)

    assert key.pending == [DealKeyReserved(scope="customer-domain", held_by=CUSTOMER)]


def test_the_holder_may_reserve_again() -> None:
    key = KeyReservation(KEY)
    key.replay(DealKeyReserved(scope="customer-domain", held_by=CUSTOMER))

    key.reserve("customer-domain", CUSTOMER)

    assert key.pending == []


def test_a_key_that_another_holds_is_taken() -> None:
    key = KeyReservation(KEY)
    key.replay(DealKeyReserved(scope="customer-domain", held_by=CUSTOMER))

    with pytest.raises(KeyTaken):
        key.reserve("customer-domain", DEAL)


def test_a_released_key_is_free_again() -> None:
    key = KeyReservation(KEY)
    key.replay(DealKeyReserved(scope="customer-domain", held_by=CUSTOMER))
    key.replay(DealKeyReleased(scope="customer-domain", held_by=CUSTOMER))

    key.reserve("customer-domain", DEAL)

    assert key.held_by == DEAL


def test_keys_of_different_scopes_are_different() -> None:
    assert reservation_id("customer-duns", "hoffmann.example") != KEY
