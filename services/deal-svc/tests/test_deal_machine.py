"""A deal under any order of commands and answers, against a small model of its status."""

from contextlib import suppress
from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from chassis.errors import Refusal
from deal_svc.domain.deal import Deal
from deal_svc.domain.decision import Status
from deal_svc.domain.terms import DEFAULT_TERMS
from deal_svc.domain.verdict import PartnerStatus
from prm_contracts.deals import DealApprovalStepDecided, DealApprovalStepOpened, DealApproved
from prm_contracts.territories import Conflict

from .cast import (
    DEAL,
    LIMITED,
    NOW,
    NOW_KNOWN,
    OUTSIDE,
    PARTNER,
    SELLER,
    SERVICE,
    SHARED,
    SUSPENDED,
    UNTIL,
    WAIVABLE,
    checked,
    registered,
    seen,
)

LEFT = {Status.REJECTED, Status.WITHDRAWN, Status.EXPIRED}
PLACES = st.integers(1, 3)
MAPS = st.integers(1, 3)
PARTNERS: st.SearchStrategy[PartnerStatus] = st.sampled_from(["active", "active", "suspended"])


class AnyOrder(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.deal = Deal(DEAL)
        self.deal.record(registered(amount_minor=4_000_000))
        self.was = Status.CHECKING

    @rule(
        conflicts=st.lists(st.sampled_from([OUTSIDE, SHARED, WAIVABLE]), max_size=2),
        subject_version=st.integers(1, 3),
        by_map=MAPS,
        newest=MAPS,
        place=PLACES,
        partner=PARTNERS,
    )
    def answer(
        self,
        *,
        conflicts: list[Conflict],
        subject_version: int,
        by_map: int,
        newest: int,
        place: int,
        partner: PartnerStatus,
    ) -> None:
        check = checked(*conflicts, subject_version=subject_version, alignment_version=by_map)
        on = seen(check, place=place, newest_alignment=newest, partner_status=partner)
        before = self.deal.version
        self.deal.answer_conflict_check(on, SERVICE.id, DEFAULT_TERMS, NOW)
        if partner == "suspended" or by_map < newest:
            assert self.deal.version == before
        if self.deal.version > before and place > 1:
            assert self.deal.status is not Status.APPROVED

    @rule(place=PLACES, newest=MAPS, unchecked=st.booleans(), partner=PARTNERS)
    def approve(self, place: int, newest: int, unchecked: bool, partner: PartnerStatus) -> None:
        known = replace(
            NOW_KNOWN,
            place=place,
            newest_alignment=newest,
            partner=PARTNER if partner == "active" else SUSPENDED,
        )
        with suppress(Refusal):
            self.deal.approve(LIMITED, known, DEFAULT_TERMS, NOW, unchecked=unchecked)
            assert place == 1
            assert partner == "active"

    @rule()
    def reject(self) -> None:
        with suppress(Refusal):
            self.deal.reject(LIMITED, PARTNER, DEFAULT_TERMS, "tender", None)

    @rule()
    def withdraw(self) -> None:
        with suppress(Refusal):
            self.deal.withdraw(SELLER, None)

    @rule(place=PLACES)
    def promote(self, place: int) -> None:
        self.deal.promote(place)

    @rule(newest=MAPS)
    def request_check(self, newest: int) -> None:
        self.deal.request_check("requested", newest)

    @rule(is_current=st.booleans())
    def expire(self, is_current: bool) -> None:
        self.deal.expire(UNTIL.at if is_current else NOW)

    @invariant()
    def what_has_left_never_comes_back(self) -> None:
        if self.was in LEFT:
            assert self.deal.status is self.was
        if self.was is Status.APPROVED:
            assert self.deal.status in {Status.APPROVED, Status.WITHDRAWN, Status.EXPIRED}
        self.was = self.deal.status

    @invariant()
    def it_is_approved_at_most_once(self) -> None:
        assert sum(isinstance(fact, DealApproved) for fact in self.deal.pending) <= 1

    @invariant()
    def every_step_is_opened_and_decided_in_turn(self) -> None:
        steps = [
            isinstance(fact, DealApprovalStepOpened)
            for fact in self.deal.pending
            if isinstance(fact, DealApprovalStepOpened | DealApprovalStepDecided)
        ]
        assert steps == [index % 2 == 0 for index in range(len(steps))]
        if self.deal.status is not Status.IN_REVIEW:
            assert self.deal.open_step is None

    @invariant()
    def replayed_it_is_the_same(self) -> None:
        replayed = Deal(DEAL)
        for fact in self.deal.pending:
            replayed.replay(fact)
        assert vars(replayed) | {"pending": []} == vars(self.deal) | {"pending": []}


TestAnyOrder = AnyOrder.TestCase
