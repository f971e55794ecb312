"""Who decides on a deal by what, its statuses, and what it refuses."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from chassis.context import Actor
from chassis.errors import Conflict, Forbidden, NotFound, Unavailable
from deal_svc.domain.registration import KnownPartner


class Status(StrEnum):
    CHECKING = "checking"
    IN_REVIEW = "in_review"
    QUEUED = "queued"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


class DealNotFound(NotFound):
    """There is no such deal, or it is not yours."""


@dataclass(eq=False)
class DealNotInReview(Conflict):
    """Only a deal in review can be decided: load it again and look at its status."""

    deal_id: UUID
    deal_status: Status


@dataclass(eq=False)
class ConflictCheckPending(Conflict):
    """The conflict check has not come yet: wait for it, or decide with `unchecked` set to true."""

    deal_id: UUID


@dataclass(eq=False)
class ConflictCheckStale(Conflict):
    """The map has changed since the check: it is being checked again, decide after that."""

    deal_id: UUID
    checked_by: int
    newest: int


@dataclass(eq=False)
class DealNotListed(Unavailable):
    """What is passed over while a partner is on hold must be found again: wait for the list."""

    deal_id: UUID


@dataclass(eq=False)
class DealAlreadyLeft(Conflict):
    """A rejected or expired deal cannot be withdrawn: it holds nothing any more."""

    deal_id: UUID
    deal_status: Status


@dataclass(eq=False)
class ApproverLimitExceeded(Forbidden):
    """The amount is above your limit in this currency: ask an approver whose limit covers it."""

    amount_minor: int
    currency: str
    limit_minor: int | None


class FourEyesNeeded(Forbidden):
    """Nobody decides on what they submitted: ask a colleague."""


class DeciderRoleNeeded(Forbidden):
    """Deals are decided by channel managers, channel operations and finance: ask one of them."""


class PartnerNeeded(Forbidden):
    """Only the partner's own people register and withdraw deals: ask them."""


class PartnerCannotDecide(Forbidden):
    """Partners do not decide on deals: ask your channel manager."""


@dataclass(frozen=True)
class Approver:
    """`limit_minor`: in the deal's currency, as deal-svc has read of it; None: has none."""

    actor: Actor
    limit_minor: int | None


@dataclass(frozen=True)
class Circumstances:
    """What else a decision rests on. `place`: the worst over the deal's lines."""

    partner: KnownPartner
    newest_alignment: int
    place: int
