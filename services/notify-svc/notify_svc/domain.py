"""A notification: one person is told of one fact, once."""

from dataclasses import dataclass
from typing import assert_never
from uuid import UUID, uuid5

from pydantic import Field

from chassis.aggregates import Aggregate
from chassis.context import Actor
from chassis.errors import Conflict, NotFound
from prm_contracts.facts import Value
from prm_contracts.notifications import (
    Cause,
    MailFact,
    NotificationChannel,
    NotificationFact,
    NotificationFailed,
    NotificationMailRetried,
    NotificationQueued,
    NotificationRead,
    NotificationSent,
    NotificationSuppressed,
)
from prm_contracts.values import Code


class NotificationNotFound(NotFound):
    """There is no such notification in your inbox."""


@dataclass(eq=False)
class MailNotFailed(Conflict):
    """Only an e-mail that has failed is tried again: the list of failed e-mails names those."""

    notification_id: UUID


class Recipient(Value):
    """A contact; `partner_id` is null for the vendor's people."""

    contact_id: UUID
    partner_id: UUID | None


class Message(Value):
    """What is told: the template of the text and its parameters, nothing personal."""

    template: Code
    params: dict[str, str | int] = Field(default_factory=dict)


def notification_id(event_id: UUID, recipient_id: UUID, channel: NotificationChannel) -> UUID:
    """The same for the same fact, person and channel: a replay never tells twice."""
    return uuid5(event_id, f"{recipient_id} {channel}")


class Notification(Aggregate[NotificationFact]):
    not_found = NotificationNotFound
    recipient_id: UUID
    is_read: bool = False
    is_mail_settled: bool = False
    is_mail_failed: bool = False

    def queue(
        self, recipient: Recipient, cause: Cause, channel: NotificationChannel, message: Message
    ) -> None:
        self.record(
            NotificationQueued(
                recipient_id=recipient.contact_id,
                partner_id=recipient.partner_id,
                cause=cause,
                channel=channel,
                template=message.template,
                params=message.params,
            )
        )

    def read(self, actor: Actor) -> None:
        """An inbox is personal: a colleague's notification answers like a missing one."""
        if actor.id != self.recipient_id:
            raise NotificationNotFound(self.id)
        if not self.is_read:
            self.record(NotificationRead())

    def settle_mail(self, outcome: MailFact) -> None:
        """The first outcome counts: a mail that was sent again was sent before."""
        if not self.is_mail_settled:
            self.record(outcome)

    def retry_mail(self, actor: Actor) -> None:
        if not self.is_mail_failed:
            raise MailNotFailed(self.id)
        self.record(NotificationMailRetried(retried_by=actor.id))

    def apply(self, fact: NotificationFact) -> None:
        match fact:
            case NotificationQueued():
                self.recipient_id, self.tenant_id = fact.recipient_id, fact.partner_id
            case NotificationRead():
                self.is_read = True
            case NotificationSent() | NotificationFailed() | NotificationSuppressed():
                self.is_mail_settled = True
                self.is_mail_failed = isinstance(fact, NotificationFailed)
            case NotificationMailRetried():
                self.is_mail_settled = self.is_mail_failed = False
            case _:
                assert_never(fact)
