"""Facts in, rows out; the queries that read them see one person's inbox only."""

from typing import Any
from uuid import UUID

import pytest

from chassis.context import Actor
from chassis.sql import Statement
from chassis.web.lists import PageAsked, page
from notify_svc import projections, queries
from prm_contracts.notifications import (
    Cause,
    FailureReason,
    MailFact,
    NotificationFailed,
    NotificationMailRetried,
    NotificationQueued,
    NotificationRead,
    NotificationSent,
    NotificationSuppressed,
)
from prm_contracts.partners import RoleGranted, RoleRevoked

from .cast import ALPHA, COLLEAGUE, DEAL, MANAGER, NOW, SELLER, recorded
from .conftest import Inbox

FIRST, SECOND = UUID(int=81), UUID(int=82)


def queued(recipient_id: UUID) -> NotificationQueued:
    return NotificationQueued(
        recipient_id=recipient_id,
        partner_id=ALPHA,
        cause=Cause(event_id=UUID(int=91), fact_type="any", aggregate_id=DEAL, occurred_at=NOW),
        channel="in-app",
        template="deal-queued",
        params={"customer": "Hoffmann Logistik GmbH", "place": 2},
    )


def entries(inbox: Inbox, person: UUID, is_read: bool | None = None) -> list[dict[str, Any]]:
    inbox_of = page(queries.inbox(Actor(person, ALPHA), is_read), PageAsked(), None)
    return [row[0] for row in inbox.show(inbox_of)]


async def test_an_inbox_lists_the_newest_first_and_nobody_elses(inbox: Inbox) -> None:
    for position, (id_, person) in enumerate(
        ((FIRST, SELLER), (SECOND, SELLER), (UUID(int=83), COLLEAGUE)), 1
    ):
        arrived = recorded(queued(person), id_, 1, position=position)
        inbox.show(projections.notification_inbox(arrived))

    mine = entries(inbox, SELLER)

    assert [entry["notification_id"] for entry in mine] == [str(SECOND), str(FIRST)]
    assert mine[0]["text"] == "Your deal with Hoffmann Logistik GmbH waits in line, at place 2."
    assert queries.InboxEntry.model_validate(mine[0]).read_at is None
    foreign = queries.inbox_entry(Actor(COLLEAGUE, ALPHA), FIRST)
    assert inbox.show(foreign) == []


async def test_a_read_notification_leaves_the_unread_ones(inbox: Inbox) -> None:
    arrived = recorded(queued(SELLER), FIRST)
    inbox.show(projections.notification_inbox(arrived))

    read = recorded(NotificationRead(), FIRST, 2)
    inbox.show(projections.notification_inbox(read), projections.notification_inbox(arrived))

    assert entries(inbox, SELLER, is_read=False) == []
    assert [entry["version"] for entry in entries(inbox, SELLER, is_read=True)] == [2]


@pytest.mark.parametrize(
    ("outcome", "mail", "reason"),
    [
        (NotificationSent(message_id="<1@partners.example>", language="en"), "sent", None),
        (NotificationFailed(reason_code="refused", attempts=1), "failed", "refused"),
        (NotificationSuppressed(reason_code="muted"), "suppressed", "muted"),
    ],
)
async def test_an_inbox_shows_what_became_of_an_e_mail(
    inbox: Inbox, outcome: MailFact, mail: str, reason: str | None
) -> None:
    inbox.show(projections.notification_inbox(recorded(queued(SELLER), FIRST)))
    before = entries(inbox, SELLER, is_read=False)[0]["mail"]

    inbox.show(projections.notification_inbox(recorded(outcome, FIRST, 2)))

    [entry] = entries(inbox, SELLER, is_read=False)
    shown = queries.InboxEntry.model_validate(entry)
    assert (before, shown.mail, shown.mail_reason) == ("queued", mail, reason)


def failed(inbox: Inbox, reason: FailureReason | None = None) -> list[dict[str, Any]]:
    listed = page(queries.failed_mails(reason), PageAsked(), None)
    return [row[0] for row in inbox.show(listed)]


async def test_failed_e_mails_are_listed_with_why_and_nothing_of_what_they_say(
    inbox: Inbox,
) -> None:
    refused = NotificationFailed(reason_code="refused", smtp_status=550, attempts=2)
    inbox.show(
        projections.notification_inbox(recorded(queued(SELLER), FIRST)),
        projections.notification_inbox(recorded(queued(COLLEAGUE), SECOND)),
        projections.notification_inbox(recorded(refused, FIRST, 2)),
    )

    [mail] = failed(inbox)

    shown = queries.FailedMail.model_validate(mail)
    assert (shown.notification_id, shown.recipient_id, shown.version) == (FIRST, SELLER, 2)
    assert (shown.reason_code, shown.smtp_status, shown.attempts) == ("refused", 550, 2)
    assert "Hoffmann" not in str(mail)
    assert failed(inbox, "given-up") == []
    assert "failure" not in entries(inbox, SELLER)[0]


async def test_a_failed_e_mail_that_is_tried_again_waits_like_any_other(inbox: Inbox) -> None:
    inbox.show(
        projections.notification_inbox(recorded(queued(SELLER), FIRST)),
        projections.notification_inbox(
            recorded(NotificationFailed(reason_code="given-up", attempts=1), FIRST, 2)
        ),
    )
    retried = recorded(NotificationMailRetried(retried_by=MANAGER), FIRST, 3)

    inbox.show(projections.notification_inbox(retried))

    assert failed(inbox) == []
    [entry] = entries(inbox, SELLER)
    assert (entry["mail"], entry["mail_reason"]) == ("queued", None)
    assert projections.mail_errand(retried) is True


async def test_a_role_granted_or_revoked_moves_who_is_asked(inbox: Inbox) -> None:
    granted = RoleGranted(role="finance-approver", granted_by=MANAGER)
    revoked = RoleRevoked(role="channel-account-manager", revoked_by=MANAGER)

    inbox.show(
        projections.contacts(recorded(granted, MANAGER, 3)),
        projections.contacts(recorded(granted, MANAGER, 3)),
        projections.contacts(recorded(revoked, MANAGER, 4)),
    )

    with_roles = Statement("SELECT roles FROM contacts WHERE contact_id = %(id)s", {"id": MANAGER})
    assert inbox.show(with_roles) == [(["finance-approver"],)]
