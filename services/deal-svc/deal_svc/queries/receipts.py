"""The receipt of a registration: read from the event store, for it proves what lies there.

It tells how many facts lie ahead in a line, never whose: the place is told with the decision.
How it is checked: prm_contracts.receipts.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel

from chassis.context import Actor
from chassis.sql import Database, Statement
from chassis.storage.wire import fact_digest, id_text, instant_text, version_text
from deal_svc.queries.deals import scope
from prm_contracts.deals import Claim, DealRegistered


class EventAsPublished(BaseModel):
    """The attributes that its digest goes over, each as text on the wire."""

    subject: str
    sequence: str
    type: str
    id: str
    time: str
    actor: str
    value: str


class FactDigest(BaseModel):
    version: int
    digest: str


class LineReceipt(BaseModel):
    """`digests`: of every fact of the line up to the own claim. `chain`: hex, at that point."""

    exclusivity_id: UUID
    family: str
    own_event: EventAsPublished
    digests: tuple[FactDigest, ...]
    chain: str


class Receipt(BaseModel):
    deal_id: UUID
    lines: tuple[LineReceipt, ...]


class StoredFact(BaseModel):
    """A row of the event store."""

    aggregate_id: UUID
    version: int
    type: str
    event_id: UUID
    occurred_at: datetime
    actor_id: UUID
    data: bytes
    chain: bytes

    def digest(self) -> str:
        return fact_digest(
            aggregate_id=self.aggregate_id,
            version=self.version,
            type=self.type,
            event_id=self.event_id,
            occurred_at=self.occurred_at,
            actor_id=self.actor_id,
            data=self.data,
        ).hex()

    def as_published(self) -> EventAsPublished:
        return EventAsPublished(
            subject=id_text(self.aggregate_id),
            sequence=version_text(self.version),
            type=self.type,
            id=id_text(self.event_id),
            time=instant_text(self.occurred_at),
            actor=id_text(self.actor_id),
            value=self.data.decode(),
        )


async def receipt(database: Database, asker: Actor, deal_id: UUID) -> Receipt | None:
    """None for a deal that is not there, or not the asker's."""
    registered = await database.rows(StoredFact, registration(asker, deal_id))
    if not registered:
        return None
    claims = DealRegistered.model_validate_json(registered[0].data).claims
    lines = [
        line_receipt(claim, await database.rows(StoredFact, line_up_to(deal_id, claim)))
        for claim in claims
    ]
    return Receipt(deal_id=deal_id, lines=tuple(lines))


def line_receipt(claim: Claim, facts: Sequence[StoredFact]) -> LineReceipt:
    own = facts[-1]
    return LineReceipt(
        exclusivity_id=claim.exclusivity_id,
        family=claim.family,
        own_event=own.as_published(),
        digests=tuple(FactDigest(version=fact.version, digest=fact.digest()) for fact in facts),
        chain=own.chain.hex(),
    )


def registration(asker: Actor, deal_id: UUID) -> Statement:
    return Statement(
        "SELECT aggregate_id, version, type, event_id, occurred_at, actor_id, data, chain"
        " FROM registration_of(%(deal_id)s), convert_from(data, 'UTF8') AS told"
        " WHERE (%(tenant_id)s::text IS NULL OR told::jsonb ->> 'partner_id' = %(tenant_id)s)"
        " AND (%(seller_id)s::text IS NULL OR %(seller_id)s IN"
        " (told::jsonb ->> 'seller_id', told::jsonb ->> 'registered_by'))",
        {name: value and str(value) for name, value in scope(asker).items()} | {"deal_id": deal_id},
    )


def line_up_to(deal_id: UUID, claim: Claim) -> Statement:
    return Statement(
        "SELECT aggregate_id, version, type, event_id, occurred_at, actor_id, data, chain"
        " FROM line_of(%(deal_id)s, %(exclusivity_id)s)",
        {"deal_id": deal_id, "exclusivity_id": claim.exclusivity_id},
    )
