"""HTTP in: one endpoint a command, one a question."""

from typing import Annotated
from uuid import UUID

from fastapi import Response

from chassis.web.http import Accepted, Asker, Ctx, HasPorts, accepted, allowed, waits_for
from chassis.web.lists import PageAsked, page_of
from chassis.web.pages import AsOf, Listed, listed, one
from chassis.web.routes import Router
from notify_svc import application, queries
from notify_svc.domain import NotificationNotFound
from prm_contracts.notifications import FailureReason

EVERYBODY = (
    "channel-account-manager",
    "channel-operations",
    "partner-admin",
    "partner-seller",
    "finance-approver",
)

OPERATIONS = ("channel-operations", "platform-operator")

InboxPage = Annotated[PageAsked, page_of(queries.InboxEntry, "queued_at", "read_at", "template")]

FailedPage = Annotated[PageAsked, page_of(queries.FailedMail, "queued_at", "template")]

router = Router(prefix="/v1/notifications", tags=["notifications"])
failed = Router(prefix="/v1/failed-mails", tags=["notifications"])


@router.post("/{notification_id}/read", dependencies=[allowed(*EVERYBODY)])
async def read_notification(
    notification_id: UUID, ctx: Ctx, ports: HasPorts, out: Response
) -> Accepted:
    saved = await ports.events.execute(application.read_notification, ctx, notification_id)
    return accepted(saved, ports, out)


@router.post("/{notification_id}/retry-mail", dependencies=[allowed(*OPERATIONS)])
async def retry_mail(notification_id: UUID, ctx: Ctx, ports: HasPorts, out: Response) -> Accepted:
    """Its e-mail has failed, and what it failed of is mended."""
    saved = await ports.events.execute(application.retry_mail, ctx, notification_id)
    return accepted(saved, ports, out)


@failed.get(
    "",
    response_model=Listed[queries.FailedMail],
    dependencies=[allowed(*OPERATIONS), waits_for("notification_inbox")],
)
async def failed_mails(
    asker: Asker, ports: HasPorts, page: FailedPage, reason_code: FailureReason | None = None
) -> Response:
    """E-mails that are not tried any more, whoever they are to, newest first."""
    return await listed(ports, asker, page, queries.failed_mails(reason_code))


@router.get(
    "",
    response_model=Listed[queries.InboxEntry],
    dependencies=[allowed(*EVERYBODY), waits_for("notification_inbox")],
)
async def inbox(
    asker: Asker, ports: HasPorts, page: InboxPage, is_read: bool | None = None
) -> Response:
    """The caller's own notifications, newest first."""
    return await listed(ports, asker, page, queries.inbox(asker, is_read))


@router.get(
    "/{notification_id}",
    response_model=queries.InboxEntry,
    dependencies=[allowed(*EVERYBODY), waits_for("notification_inbox")],
)
async def notification(
    notification_id: UUID, asker: Asker, ports: HasPorts, as_of: AsOf = None
) -> Response:
    query = queries.inbox_entry(asker, notification_id)
    return await one(ports, asker, query, NotificationNotFound(notification_id), as_of=as_of)
