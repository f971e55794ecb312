"""An example of each fact of notify-svc."""

from prm_contracts.examples.cast import ALPHA, DEAL, DECIDED_AT, OPERATIONS, SELLER, named
from prm_contracts.facts import Fact
from prm_contracts.notifications import (
    Cause,
    NotificationFailed,
    NotificationMailRetried,
    NotificationQueued,
    NotificationRead,
    NotificationSent,
    NotificationSuppressed,
)

NOTIFICATIONS: tuple[Fact, ...] = (
    NotificationQueued(
        recipient_id=SELLER,
        partner_id=ALPHA,
        cause=Cause(
            event_id=named("event of the approval"),
            fact_type="prm.deal.DealApproved.v1",
            aggregate_id=DEAL,
            occurred_at=DECIDED_AT,
        ),
        channel="in-app",
        template="deal-approved",
        params={"customer": "Hoffmann Logistik GmbH", "exclusive_until": "2027-05-31"},
    ),
    NotificationRead(),
    NotificationSent(
        message_id="<5c1fb9a4-8a25-5d39-b2f7-0b1c6f2a9e10@partners.example>", language="de"
    ),
    NotificationFailed(reason_code="refused", smtp_status=550, attempts=1),
    NotificationSuppressed(reason_code="muted"),
    NotificationMailRetried(retried_by=OPERATIONS),
)
