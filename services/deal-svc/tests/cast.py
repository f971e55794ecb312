"""The realistic cast that the tests of deal-svc share."""

from datetime import UTC, date, datetime
from typing import Any, cast
from uuid import UUID

from chassis.context import Actor
from chassis.testing.by_hand import POLICIES_ACTOR
from deal_svc.domain.customer_keys import NamedCustomer
from deal_svc.domain.deal import Deal
from deal_svc.domain.decision import Approver, Circumstances
from deal_svc.domain.registration import KnownPartner, NamedLine, Registration
from deal_svc.domain.verdict import Seen
from prm_contracts.customers import EndCustomer
from prm_contracts.deals import (
    Claim,
    ConflictCheckRequested,
    DealApprovalStepOpened,
    DealApproved,
    DealCleared,
    DealConflictsFound,
    DealFact,
    DealLine,
    DealPromoted,
    DealQueued,
    DealRegistered,
    DealRejected,
)
from prm_contracts.facts import Personal
from prm_contracts.partners import ContactInvited
from prm_contracts.territories import Conflict, Dimensions, TerritoryConflictChecked
from prm_contracts.values import Deadline, Decision, Role

NOW = datetime(2027, 3, 1, 9, tzinfo=UTC)
# The end of 30 May 2027 in Berlin.
UNTIL = Deadline(
    at=datetime(2027, 5, 30, 22, tzinfo=UTC),
    local_date=date(2027, 5, 30),
    zone="Europe/Berlin",
    calendar_version="iana-2026a",
)
ALPHA, BOREALIS = UUID(int=1), UUID(int=2)
SERVICE = POLICIES_ACTOR
SELLER = Actor(UUID(int=11), ALPHA, frozenset({"partner-seller"}))
ADMIN = Actor(UUID(int=14), ALPHA, frozenset({"partner-admin"}))
COLLEAGUE = Actor(UUID(int=15), ALPHA, frozenset({"partner-seller"}))
RIVAL = Actor(UUID(int=12), BOREALIS, frozenset({"partner-seller"}))
MANAGER = Actor(UUID(int=13), roles=frozenset({"channel-account-manager"}))
OPERATIONS = Actor(UUID(int=16), roles=frozenset({"channel-operations"}))
OPERATOR = Actor(UUID(int=17), roles=frozenset({"platform-operator"}))
DEAL, RIVAL_DEAL, THIRD_DEAL = UUID(int=21), UUID(int=22), UUID(int=23)
CUSTOMER, LINE, OTHER_LINE = UUID(int=31), UUID(int=32), UUID(int=33)
CHECK = UUID(int=34)
BACKUP, FIREWALL = UUID(int=41), UUID(int=42)  # products
PRICE_BOOK = UUID(int=43)
CLOSE = date(2027, 9, 30)

PARTNER = KnownPartner(
    partner_id=ALPHA, status="active", time_zone="Europe/Berlin", terms_version="2027-1", version=2
)
SUSPENDED = PARTNER.model_copy(update={"status": "suspended", "version": 3})
HOFFMANN = NamedCustomer(
    name="Hoffmann Logistik GmbH", country="DE", subdivision="DE-BY", postal_code="80331"
)
LIMITED = Approver(MANAGER, limit_minor=20_000_000)
NOW_KNOWN = Circumstances(partner=PARTNER, newest_alignment=1, place=1)


def personal(text: str) -> Personal:
    """Sealed in looks only: domain and application never open it."""
    return Personal(subject=UUID(int=51), key=UUID(int=52), box=text)


def invited(person: Actor) -> ContactInvited:
    return ContactInvited(
        side="partner" if person.tenant_id else "vendor",
        partner_id=person.tenant_id,
        name=personal("name"),
        email=personal("address"),
        email_key=UUID(int=53),
        language="en",
        roles=tuple(cast("frozenset[Role]", person.roles)),
        valid_until=NOW,
        invited_by=OPERATIONS.id,
    )


def registration(**changes: Any) -> Registration:
    told: dict[str, Any] = {
        "customer": HOFFMANN,
        "lines": (NamedLine(product_id=BACKUP, quantity=10, unit_price_minor=1_800_000),),
        "currency": "EUR",
        "expected_close_on": CLOSE,
        "industry": "484121",
        "sales_activity": personal("two workshops"),
    }
    return Registration(**(told | changes))


def end_customer(**changes: Any) -> EndCustomer:
    told: dict[str, Any] = dict(HOFFMANN) | {
        "customer_id": CUSTOMER,
        "band": "none",
        "scorer_version": "scorer-1",
    }
    return EndCustomer(**(told | changes))


def registered(amount_minor: int = 18_000_000, **changes: Any) -> DealRegistered:
    told: dict[str, Any] = {
        "partner_id": ALPHA,
        "seller_id": SELLER.id,
        "registered_by": SELLER.id,
        "deal_type": "new",
        "customer": end_customer(),
        "lines": (
            DealLine(product_id=BACKUP, family="backup", quantity=1, unit_price_minor=amount_minor),
        ),
        "amount_minor": amount_minor,
        "currency": "EUR",
        "expected_close_on": CLOSE,
        "time_zone": "Europe/Berlin",
        "claims": (Claim(exclusivity_id=LINE, version=1, family="backup"),),
        "industry": "484121",
        "sales_activity": personal("two workshops"),
        "terms_version": "2027-1",
        "based_on": (PARTNER.basis,),
    }
    return DealRegistered(**(told | changes))


def checked(
    *conflicts: Conflict, subject_version: int = 1, alignment_version: int = 1, subject: UUID = DEAL
) -> TerritoryConflictChecked:
    return TerritoryConflictChecked(
        subject=subject,
        subject_version=subject_version,
        alignment_version=alignment_version,
        dimensions=DIMENSIONS,
        territories=(),
        conflicts=conflicts,
    )


def seen(check: TerritoryConflictChecked, **changes: Any) -> Seen:
    rests_on: dict[str, Any] = {
        "place": 1,
        "rivals": (),
        "partner_status": "active",
        "newest_alignment": 1,
    }
    return Seen(check_id=CHECK, check=check, **(rests_on | changes))


def decision(**changes: Any) -> Decision:
    told: dict[str, Any] = {
        "decided_by": SERVICE.id,
        "is_automatic": True,
        "reason_code": "clear",
        "rule_id": "nothing-above-a-flag",
        "policy_version": "default-1",
        "input_hash": "0" * 64,
    }
    return Decision(**(told | changes))


def given(*facts: DealFact) -> Deal:
    deal = Deal(DEAL)
    for fact in facts:
        deal.replay(fact)
    return deal


DIMENSIONS = Dimensions(
    partner_id=ALPHA,
    customer_id=CUSTOMER,
    country="DE",
    subdivision="DE-BY",
    postal_code="80331",
    industry="484121",
    families=("backup",),
)
OUTSIDE = Conflict(kind="OUTSIDE_TERRITORY", resolution="reject", rule_id="outside-territory")
SHARED = Conflict(kind="SHARED_OVERLAP", resolution="pass", rule_id="shared-overlap")
WAIVABLE = Conflict(kind="DIRECT_PIPELINE", resolution="channel-manager", rule_id="direct-pipeline")
CLEARED = DealCleared(subject_version=1, check_id=CHECK, alignment_version=1, decision=decision())
FOUND = DealConflictsFound(
    subject_version=1,
    check_id=CHECK,
    alignment_version=1,
    conflicts=(OUTSIDE,),
    decision=decision(reason_code="territory"),
)
STEP = DealApprovalStepOpened(
    step=1, role="channel-account-manager", amount_minor=18_000_000, currency="EUR"
)
QUEUED = DealQueued(place=2)
PROMOTED = DealPromoted(subject_version=2)
REQUESTED = ConflictCheckRequested(
    subject_version=2, reason_code="promoted", dimensions=DIMENSIONS, based_on=(PARTNER.basis,)
)
APPROVED = DealApproved(
    decision=decision(), exclusive_from=NOW, exclusive_until=UNTIL, discount_bp=800
)
REJECTED = DealRejected(decision=decision(reason_code="territory"))
IN_REVIEW_FACTS = (registered(), CLEARED, STEP)
