"""What an e-mail says and to whom, as the service's own tables have it; personal fields sealed."""

from typing import Any
from uuid import UUID

from pydantic import BaseModel

from chassis.sql import Database, Statement
from prm_contracts.facts import Personal
from prm_contracts.partners import MutedMails
from prm_contracts.values import Instant

# Which e-mails a person may do without. The others concern the account or the partnership itself.
GROUPS: dict[str, MutedMails] = {
    "deal-registered": "deals",
    "deal-queued": "deals",
    "deal-promoted": "deals",
    "deal-approved": "deals",
    "deal-rejected": "deals",
    "deal-expired": "deals",
    "deal-decision-due": "tasks",
    "partner-assigned": "tasks",
    "partner-deal-expired": "tasks",
    "partner-deal-withdrawn": "tasks",
}


class Letter(BaseModel):
    """`language` null: nobody has heard of the recipient yet. `occurred_at`: what it tells of."""

    notification_id: UUID
    recipient_id: UUID
    template: str
    params: dict[str, str | int]
    occurred_at: Instant
    queued_at: Instant
    time_zone: str | None
    language: str | None
    name: Personal | None
    email: Personal | None
    muted: tuple[MutedMails, ...] | None
    is_active: bool | None

    @property
    def group(self) -> MutedMails | None:
        return GROUPS.get(self.template)

    @property
    def is_muted(self) -> bool:
        return self.group in (self.muted or ())


async def letter_of(database: Database, notification_id: UUID) -> Letter | None:
    """None while the inbox does not have it."""
    query = Statement(
        "SELECT notification_id, recipient_id, document ->> 'template' AS template,"
        " document -> 'params' AS params, document ->> 'queued_at' AS queued_at,"
        " document #>> '{cause,occurred_at}' AS occurred_at,"
        " time_zone, language, name, email, muted, is_active FROM notification_inbox"
        " LEFT JOIN contacts ON contact_id = recipient_id LEFT JOIN partners USING (partner_id)"
        " WHERE notification_id = %(id)s",
        {"id": notification_id},
    )
    found: list[Any] = await database.rows(Letter, query)
    return found[0] if found else None
