"""Every command in every state: it does something, changes nothing, or is refused by its rule."""

from collections.abc import Callable

import pytest

from chassis.testing.states import Outcome, only, outcome_of
from deal_svc.domain.deal import Deal
from deal_svc.domain.decision import ConflictCheckPending, DealAlreadyLeft, DealNotInReview, Status
from prm_contracts.deals import DealExpired, DealFact, DealWithdrawn

from .cast import APPROVED, OUTSIDE, QUEUED, REJECTED, SELLER, UNTIL, checked, given, seen
from .deals import IN_REVIEW, REGISTERED, answered, approve, reject

STATES: dict[Status, tuple[DealFact, ...]] = {
    Status.CHECKING: (REGISTERED,),
    Status.IN_REVIEW: IN_REVIEW,
    Status.QUEUED: (*IN_REVIEW, QUEUED),
    Status.APPROVED: (*IN_REVIEW, APPROVED),
    Status.REJECTED: (*IN_REVIEW, REJECTED),
    Status.WITHDRAWN: (*IN_REVIEW, DealWithdrawn(withdrawn_by=SELLER.id)),
    Status.EXPIRED: (*IN_REVIEW, APPROVED, DealExpired(due_at=UNTIL.at)),
}


COMMANDS: dict[str, tuple[Callable[[Deal], object], dict[Status, Outcome]]] = {
    "approve": (
        approve,
        only("does", Status.IN_REVIEW, else_=DealNotInReview)
        | {Status.CHECKING: ConflictCheckPending},
    ),
    "approve unchecked": (
        lambda it: approve(it, unchecked=True),
        only("does", Status.CHECKING, Status.IN_REVIEW, else_=DealNotInReview),
    ),
    "reject": (reject, only("does", Status.IN_REVIEW, Status.QUEUED, else_=DealNotInReview)),
    "withdraw": (
        lambda it: it.withdraw(SELLER, None),
        only(DealAlreadyLeft, Status.REJECTED, Status.EXPIRED, else_="does")
        | {Status.WITHDRAWN: "nothing"},
    ),
    "answer the conflict check": (
        lambda it: answered(it, seen(checked(OUTSIDE))),
        only("does", Status.CHECKING, else_="nothing"),
    ),
    "answer by a newer map": (
        lambda it: answered(it, seen(checked(alignment_version=2), newest_alignment=2)),
        only("does", Status.CHECKING, Status.IN_REVIEW, else_="nothing"),
    ),
    "ask for a check": (
        lambda it: it.request_check("requested", 1),
        only("does", Status.CHECKING, else_="nothing"),
    ),
    "ask for a check by a newer map": (
        lambda it: it.request_check("requested", 2),
        only("does", Status.CHECKING, Status.IN_REVIEW, else_="nothing"),
    ),
    "promote": (lambda it: it.promote(1), only("does", Status.QUEUED, else_="nothing")),
    "promote behind another": (lambda it: it.promote(2), dict.fromkeys(Status, "nothing")),
    "the window ends": (
        lambda it: it.expire(UNTIL.at),
        only("does", Status.APPROVED, else_="nothing"),
    ),
}


@pytest.mark.parametrize("status", STATES)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_deal_in_every_state(command: str, status: Status) -> None:
    deal = given(*STATES[status])
    tell, outcomes = COMMANDS[command]

    assert deal.status is status
    assert outcome_of(deal, tell) == outcomes[status]


def test_the_table_knows_every_state() -> None:
    assert STATES.keys() == set(Status)
