"""The people, partners and deals that notify-svc's tests share."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

from chassis.store import Recorded
from prm_contracts.customers import EndCustomer
from prm_contracts.deals import Claim, DealLine, DealRegistered
from prm_contracts.facts import F, Personal
from prm_contracts.partners import ContactInvited, Side
from prm_contracts.values import Role

NOW = datetime(2027, 3, 1, 9, tzinfo=UTC)
ALPHA, BOREALIS = UUID(int=1), UUID(int=2)
SELLER, COLLEAGUE, RIVAL = UUID(int=11), UUID(int=12), UUID(int=13)
MANAGER, OTHER_MANAGER, FINANCE = UUID(int=21), UUID(int=22), UUID(int=23)
DEAL = UUID(int=31)
NOTE = Personal(subject=DEAL, key=UUID(int=41), box="Ym94")


def recorded(fact: F, aggregate_id: UUID, version: int = 1, **envelope: Any) -> Recorded[F]:
    """The fact as it comes from a topic; each call makes another event."""
    whole: dict[str, Any] = {
        "event_id": uuid4(),
        "position": version,
        "occurred_at": NOW,
        "recorded_at": NOW,
        "actor_id": UUID(int=7),
        "command_id": uuid4(),
        "correlation_id": uuid4(),
        "causation_id": None,
        "chain": b"",
    }
    return Recorded(fact, aggregate_id, version, **(whole | envelope))


def invited(side: Side, partner_id: UUID | None, *roles: Role) -> ContactInvited:
    return ContactInvited(
        side=side,
        partner_id=partner_id,
        name=NOTE,
        email=NOTE,
        email_key=UUID(int=42),
        language="en",
        roles=roles,
        valid_until=NOW,
        invited_by=MANAGER,
    )


REGISTERED = DealRegistered(
    partner_id=ALPHA,
    seller_id=SELLER,
    registered_by=SELLER,
    deal_type="new",
    customer=EndCustomer(
        customer_id=UUID(int=51),
        name="Hoffmann Logistik GmbH",
        country="DE",
        band="none",
        scorer_version="test",
    ),
    lines=(
        DealLine(product_id=UUID(int=61), family="backup", quantity=1, unit_price_minor=4_800_000),
    ),
    amount_minor=4_800_000,
    currency="EUR",
    expected_close_on=date(2027, 6, 1),
    time_zone="Europe/Berlin",
    claims=(Claim(exclusivity_id=UUID(int=71), version=1, family="backup"),),
    sales_activity=NOTE,
    terms_version="test",
)
