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

EVERYBODY = (
    "channel-account-manager",
    "channel-operations",
    "partner-admin",
    "partner-seller",
    "finance-approver",
)

InboxPage = Annotated[PageAsked, page_of(queries.InboxEntry, "queued_at", "read_at", "template")]

router = Router(prefix="/v1/notifications", tags=["notifications"])


@router.post("/{notification_id}/read", dependencies=[allowed(*EVERYBODY)])
async def read_notification(
    notification_id: UUID, ctx: Ctx, ports: HasPorts, out: Response
) -> Accepted:
    saved = await ports.events.execute(application.read_notification, ctx, notification_id)
    return accepted(saved, ports, out)


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
