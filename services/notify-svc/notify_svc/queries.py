"""One function a question: SQL in; the view models of the documents that it answers."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel

from chassis.context import Actor
from chassis.sql import Listing, Statement
from prm_contracts.notifications import Cause, FailureReason, SuppressionReason
from prm_contracts.values import Instant

MailState = Literal["queued", "sent", "failed", "suppressed"]


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


def inbox(asker: Actor, is_read: bool | None) -> Listing:
    """The asker's own notifications, newest first."""
    return Listing(
        table="notification_inbox",
        aggregate_id="notification_id",
        scope="recipient_id = %(recipient_id)s",
        where="%(is_read)s::boolean IS NULL OR is_read = %(is_read)s",
        values={"recipient_id": asker.id, "is_read": is_read},
    )


def inbox_entry(asker: Actor, notification_id: UUID) -> Statement:
    return Statement(
        "SELECT document, version FROM notification_inbox"
        " WHERE notification_id = %(id)s AND recipient_id = %(recipient_id)s",
        {"id": notification_id, "recipient_id": asker.id},
    )
