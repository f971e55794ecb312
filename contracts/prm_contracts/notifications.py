"""Facts of notify-svc: what a person was told, because of which fact."""

from typing import Literal, get_args
from uuid import UUID

from pydantic import Field

from prm_contracts.facts import Fact, Topic, Value
from prm_contracts.values import ActorId, Code, Instant, Language

NotificationChannel = Literal["in-app"]
SuppressionReason = Literal["muted", "inactive", "erased", "no-address"]
FailureReason = Literal["refused", "given-up", "bad-address"]


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


class NotificationSent(Fact, type="prm.notification.NotificationSent.v1"):
    """Its e-mail was handed to the mail server, at least once and always under this Message-ID.

    `language`: of the text, the first of the recipient's that there is one in.
    """

    message_id: str = Field(pattern=r"^<[^<>\s]+@[^<>\s]+>$", max_length=320)
    language: Language


class NotificationFailed(Fact, type="prm.notification.NotificationFailed.v1"):
    """Its e-mail is not tried any more. `smtp_status`: the mail server's last answer, if it gave
    one; `attempts`: how often it was tried.

    refused: for ever; given-up: the server was away or busy for too long; bad-address: no server
    would take it.
    """

    reason_code: FailureReason
    smtp_status: int | None = Field(default=None, ge=200, le=599)
    attempts: int = Field(ge=1)


class NotificationMailRetried(Fact, type="prm.notification.NotificationMailRetried.v1"):
    """Its e-mail had failed and is tried again, under the same Message-ID."""

    retried_by: ActorId


class NotificationSuppressed(Fact, type="prm.notification.NotificationSuppressed.v1"):
    """It stands in the inbox and is not mailed: its recipient muted such mails, is not an active
    contact, was erased, or has no address.
    """

    reason_code: SuppressionReason


MailFact = NotificationSent | NotificationFailed | NotificationSuppressed
NotificationFact = (
    NotificationQueued
    | NotificationRead
    | NotificationSent
    | NotificationFailed
    | NotificationSuppressed
    | NotificationMailRetried
)

NOTIFICATIONS = Topic[NotificationFact](
    "prm.notifications", get_args(NotificationFact), "notify-svc"
)
