"""What facts of deals do to the deadline of their exclusivity."""

from typing import assert_never

from chassis.delivery import LIFTED, Pending
from chassis.store import Recorded
from prm_contracts.deals import (
    ConflictCheckRequested,
    DealApprovalStepDecided,
    DealApprovalStepOpened,
    DealApproved,
    DealCleared,
    DealConflictsFound,
    DealExpired,
    DealFact,
    DealPromoted,
    DealQueued,
    DealRegistered,
    DealRejected,
    DealWithdrawn,
)


def exclusivity_deadline(recorded: Recorded[DealFact]) -> Pending | None:
    match recorded.fact:
        case DealApproved() as approved:
            return Pending(approved.exclusive_until.at)
        case DealRejected() | DealWithdrawn() | DealExpired():
            return LIFTED
        case (
            DealRegistered()
            | ConflictCheckRequested()
            | DealCleared()
            | DealConflictsFound()
            | DealQueued()
            | DealPromoted()
            | DealApprovalStepOpened()
            | DealApprovalStepDecided()
        ):
            return None
        case never:
            assert_never(never)
