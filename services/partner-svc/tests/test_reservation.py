"""Unique keys: one holder each, whoever asks and however often."""

from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from partner_svc.domain.reservation import KeyTaken, Reservation, reservation_id
from prm_contracts.partners import PartnerKeyReleased, PartnerKeyReserved

from .cast import ALPHA, BOREALIS

KEY = reservation_id("duns", "315369934")


def test_a_free_key_is_reserved_once() -> None:
    reservation = Reservation(KEY)

    for _ in range(2):
        reservation.reserve("duns", ALPHA)

    assert reservation.pending == [PartnerKeyReserved(scope="duns", held_by=ALPHA)]


def test_a_key_that_somebody_holds_is_refused_and_names_the_holder() -> None:
    reservation = Reservation(KEY)
    reservation.replay(PartnerKeyReserved(scope="duns", held_by=ALPHA))

    with pytest.raises(KeyTaken) as refused:
        reservation.reserve("duns", BOREALIS)

    assert refused.value.held_by == ALPHA


def test_only_the_holder_releases_a_key() -> None:
    reservation = Reservation(KEY)
    reservation.replay(PartnerKeyReserved(scope="duns", held_by=ALPHA))

    reservation.release("duns", BOREALIS)
    reservation.release("duns", ALPHA)
    reservation.release("duns", ALPHA)

    assert reservation.pending == [PartnerKeyReleased(scope="duns", held_by=ALPHA)]


def test_the_same_text_in_another_scope_is_another_key() -> None:
    assert reservation_id("duns", "315369934") != reservation_id("tax-id", "315369934")


class AKeyHasOneHolder(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.reservation = Reservation(KEY)
        self.holder: UUID | None = None

    @rule(who=st.sampled_from([ALPHA, BOREALIS]))
    def reserve(self, who: UUID) -> None:
        if self.holder in {None, who}:
            self.reservation.reserve("duns", who)
            self.holder = who
        else:
            with pytest.raises(KeyTaken):
                self.reservation.reserve("duns", who)

    @rule(who=st.sampled_from([ALPHA, BOREALIS]))
    def release(self, who: UUID) -> None:
        self.reservation.release("duns", who)
        self.holder = None if self.holder == who else self.holder

    @invariant()
    def the_holder_is_the_models(self) -> None:
        assert self.reservation.held_by == self.holder


TestAKeyHasOneHolder = AKeyHasOneHolder.TestCase
