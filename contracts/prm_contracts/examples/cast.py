"""Who and what the examples tell of; the same ids everywhere, so that they can be read together."""

from datetime import UTC, date, datetime
from uuid import UUID, uuid5

from prm_contracts.facts import Basis, Personal
from prm_contracts.values import Deadline, Decision

EXAMPLES = UUID("6f1d1c1e-7d55-5a3e-9a3b-0d9f3a7c2b10")


def named(name: str) -> UUID:
    return uuid5(EXAMPLES, name)


ALPHA, BOREALIS = named("partner alpha"), named("partner borealis")
MANAGER, OPERATIONS = named("channel manager"), named("channel operations")
SELLER, DEAL_SVC = named("seller of alpha"), named("deal-svc")
HOFFMANN, DEAL, BACKUP = named("customer hoffmann"), named("deal"), named("product backup")
LINE, ALIGNMENT, GERMANY = named("line"), named("alignment"), named("territory germany")
DECIDED_AT = datetime(2027, 3, 2, 10, 30, tzinfo=UTC)
UNTIL = Deadline(
    at=datetime(2027, 5, 31, 21, 59, 59, 999999, tzinfo=UTC),
    local_date=date(2027, 5, 31),
    zone="Europe/Berlin",
    calendar_version="2027-1",
)
SEEN_PARTNER = Basis(topic="prm.partners", aggregate_id=ALPHA, version=2)
BY_RULE = Decision(
    decided_by=DEAL_SVC,
    is_automatic=True,
    reason_code="clear",
    rule_id="deal.automatic-approval",
    policy_version="default-1",
    input_hash="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
)
BY_A_PERSON = Decision(
    decided_by=MANAGER,
    is_automatic=False,
    reason_code="incomplete",
    rule_id="deal.review",
    policy_version="default-1",
    input_hash="60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752",
)


def sealed(subject: UUID) -> Personal:
    """What a personal text looks like to who may not read it."""
    return Personal(
        subject=subject,
        key=named(f"key of {subject}"),
        box="q83vEjRWeJASNFZ4kKvN7xI0VniQEjRWeJCrze8SNFZ4kBI0VniQq83v",
    )
