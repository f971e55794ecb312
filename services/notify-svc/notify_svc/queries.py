"""One function a question: SQL in; the view models of the documents that it answers."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel

from chassis.context import Actor
from chassis.sql import Listing, Statement
from prm_contracts.notifications import Cause, FailureReason, SuppressionReason
from prm_contracts.values import Instant

MailState = Literal["queued", "sent", "failed", "suppressed"]


class FailedMail(BaseModel):
    """Of which notification to whom, and why it is not tried any more. `smtp_status`: the mail
    server's last answer, if it gave one.
    """

    notification_id: UUID
    recipient_id: UUID
    template: str
    cause: Cause
    queued_at: Instant
    failed_at: Instant
    reason_code: FailureReason
    smtp_status: int | None
    attempts: int
    version: int


class InboxEntry(BaseModel):
    """`text`: the template with its parameters, in English. `mail`: what became of its e-mail, and
    why it is not sent.
    """

    notification_id: UUID
    template: str
    params: dict[str, str | int]
    text: str
    cause: Cause
    queued_at: Instant
    read_at: Instant | None
    mail: MailState = "queued"
    mail_reason: FailureReason | SuppressionReason | None = None
    version: int


SHOWN = "document - 'failure'"  # which is for operations


def inbox(asker: Actor, is_read: bool | None) -> Listing:
    """The asker's own notifications, newest first."""
    return Listing(
        table="notification_inbox",
        aggregate_id="notification_id",
        shows=SHOWN,
        scope="recipient_id = %(recipient_id)s",
        where="%(is_read)s::boolean IS NULL OR is_read = %(is_read)s",
        values={"recipient_id": asker.id, "is_read": is_read},
    )


def failed_mails(reason: FailureReason | None) -> Listing:
    """Whoever they are to, newest first; of the notifications nothing but what they are about."""
    return Listing(
        table="notification_inbox",
        aggregate_id="notification_id",
        shows="jsonb_build_object('notification_id', notification_id,"
        " 'recipient_id', recipient_id, 'version', version, 'template', document -> 'template',"
        " 'cause', document -> 'cause', 'queued_at', document -> 'queued_at')"
        " || (document -> 'failure')",
        scope="document ? 'failure'",
        where="document ->> 'mail' = 'failed'"
        " AND (%(reason)s::text IS NULL OR document ->> 'mail_reason' = %(reason)s)",
        values={"reason": reason},
    )


def inbox_entry(asker: Actor, notification_id: UUID) -> Statement:
    return Statement(
        "SELECT document - 'failure' AS document, version FROM notification_inbox"
        " WHERE notification_id = %(id)s AND recipient_id = %(recipient_id)s",
        {"id": notification_id, "recipient_id": asker.id},
    )
