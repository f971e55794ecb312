"""Given facts, when a verb, then facts or a refusal."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from chassis.context import Actor
from notify_svc.domain import (
    MailNotFailed,
    Message,
    Notification,
    NotificationNotFound,
    Recipient,
    notification_id,
)
from prm_contracts.notifications import (
    Cause,
    MailFact,
    NotificationFact,
    NotificationFailed,
    NotificationMailRetried,
    NotificationQueued,
    NotificationRead,
    NotificationSent,
    NotificationSuppressed,
)

OTHER_MANAGER = UUID(int=22)
EVENT, ALPHA, SELLER, COLLEAGUE = UUID(int=1), UUID(int=2), UUID(int=11), UUID(int=12)
CAUSE = Cause(
    event_id=EVENT,
    fact_type="prm.deal.DealExpired.v1",
    aggregate_id=UUID(int=3),
    occurred_at=datetime(2027, 3, 1, 9, tzinfo=UTC),
)
QUEUED = NotificationQueued(
    recipient_id=SELLER,
    partner_id=ALPHA,
    cause=CAUSE,
    channel="in-app",
    template="deal-expired",
    params={"customer": "Hoffmann Logistik GmbH"},
)


def given(*facts: NotificationFact) -> Notification:
    notification = Notification(notification_id(EVENT, SELLER, "in-app"))
    for fact in facts:
        notification.replay(fact)
    return notification


def test_a_person_is_told_of_a_fact() -> None:
    notification = given()

    notification.queue(
        Recipient(contact_id=SELLER, partner_id=ALPHA),
        CAUSE,
        "in-app",
        Message(template="deal-expired", params={"customer": "Hoffmann Logistik GmbH"}),
    )

    assert notification.pending == [QUEUED]
    assert notification.tenant_id == ALPHA


def test_the_same_fact_person_and_channel_make_the_same_notification() -> None:
    first = notification_id(EVENT, SELLER, "in-app")

    assert notification_id(EVENT, SELLER, "in-app") == first
    assert notification_id(EVENT, COLLEAGUE, "in-app") != first
    assert notification_id(UUID(int=9), SELLER, "in-app") != first


def test_a_notification_is_read_once() -> None:
    notification = given(QUEUED)

    notification.read(Actor(SELLER, ALPHA))
    notification.read(Actor(SELLER, ALPHA))

    assert notification.pending == [NotificationRead()]


def test_a_colleagues_notification_is_not_found() -> None:
    notification = given(QUEUED)

    with pytest.raises(NotificationNotFound):
        notification.read(Actor(COLLEAGUE, ALPHA))

    assert notification.pending == []


SENT = NotificationSent(message_id="<1@partners.example>", language="en")


@pytest.mark.parametrize(
    "first",
    [
        SENT,
        NotificationFailed(reason_code="refused", smtp_status=550, attempts=1),
        NotificationSuppressed(reason_code="muted"),
    ],
)
def test_the_first_outcome_of_its_e_mail_counts(first: MailFact) -> None:
    notification = given(QUEUED)

    notification.settle_mail(first)
    notification.settle_mail(SENT)

    assert notification.pending == [first]


FAILED = NotificationFailed(reason_code="given-up", attempts=150)


def test_an_e_mail_that_failed_is_tried_again_and_has_another_outcome() -> None:
    notification = given(QUEUED, FAILED)

    notification.retry_mail(Actor(OTHER_MANAGER))
    notification.settle_mail(SENT)

    assert notification.pending == [NotificationMailRetried(retried_by=OTHER_MANAGER), SENT]


@pytest.mark.parametrize(
    "outcomes",
    [
        (),
        (SENT,),
        (NotificationSuppressed(reason_code="muted"),),
        (FAILED, NotificationMailRetried(retried_by=OTHER_MANAGER)),
        (FAILED, NotificationMailRetried(retried_by=OTHER_MANAGER), SENT),
    ],
    ids=["waiting", "sent", "suppressed", "tried again", "sent later"],
)
def test_only_an_e_mail_that_failed_is_tried_again(outcomes: tuple[NotificationFact, ...]) -> None:
    notification = given(QUEUED, *outcomes)

    with pytest.raises(MailNotFailed):
        notification.retry_mail(Actor(OTHER_MANAGER))
