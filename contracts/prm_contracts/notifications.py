"""Facts of notify-svc: what a person was told, because of which fact."""

from typing import Literal, get_args
from uuid import UUID

from pydantic import Field

from prm_contracts.facts import Fact, Topic, Value
from prm_contracts.values import Code, Instant

NotificationChannel = Literal["in-app"]


class Cause(Value):
    """The fact that a notification tells of."""

    event_id: UUID
    fact_type: str
    aggregate_id: UUID
    occurred_at: Instant


class NotificationQueued(Fact, type="prm.notification.NotificationQueued.v1"):
    """Its id derives from (event id, recipient, channel): a replay never tells twice.

    `partner_id` null: the recipient is one of the vendor's people. `params`: what the template
    of the text needs; never the name or price of another partner, and nothing personal.
    """

    recipient_id: UUID
    partner_id: UUID | None
    cause: Cause
    channel: NotificationChannel
    template: Code
    params: dict[str, str | int] = Field(default_factory=dict)


class NotificationRead(Fact, type="prm.notification.NotificationRead.v1"):
    """The recipient has seen it."""


NotificationFact = NotificationQueued | NotificationRead

NOTIFICATIONS = Topic[NotificationFact](
    "prm.notifications", get_args(NotificationFact), "notify-svc"
)
