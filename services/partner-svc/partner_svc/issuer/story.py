"""The client `operator` of demo and tests: a token for any person, real by the service's facts."""

import logging
import re
from dataclasses import dataclass
from uuid import UUID, uuid4, uuid5

from chassis.context import Actor, Context
from chassis.web.http import Ports
from partner_svc import application
from partner_svc.domain.contact import ROLES, ContactNotFound, Invitation, Limit, RoleNotHeld
from partner_svc.issuer.signing import Subject
from prm_contracts.partners import Side
from prm_contracts.values import Role

logger = logging.getLogger(__name__)

CLIENT_ID = "operator"
NAMESPACE = UUID("0d0ad7a4-1c1f-5a1c-9a3e-5b7a3a0a6c55")
OPERATOR = Actor(uuid5(NAMESPACE, CLIENT_ID), roles=frozenset({"platform-operator"}))
DECIDERS: tuple[Role, ...] = ("channel-account-manager", "channel-operations", "finance-approver")
LIMITS = tuple(
    Limit(kind="deal-approval", currency=currency, amount_minor=1_000_000_00)
    for currency in ("EUR", "USD")
)


@dataclass(frozen=True)
class Asked:
    """`person`: a name, of somebody who is invited where there is no such person; a contact's
    id; or None: the one that stands for the role.
    """

    role: Role
    partner_id: UUID | None
    person: str | None

    @property
    def side(self) -> Side:
        return "partner" if self.role in ROLES["partner"] else "vendor"

    @property
    def name(self) -> str:
        return self.person or self.role.replace("-", " ")

    @property
    def slug(self) -> str:
        return re.sub(r"[^a-z0-9]+", "-", self.name.casefold()).strip("-") or "somebody"

    @property
    def contact_id(self) -> UUID:
        """The same for the same name at the same partner, whatever the role."""
        given = _contact_id(self.person)
        return given or uuid5(NAMESPACE, f"{self.partner_id or 'vendor'} {self.slug}")


async def person(ports: Ports, asked: Asked) -> Subject:
    """An active contact who holds the role. Raises what the commands refuse."""
    logger.warning(
        "break-glass: the operator takes a token of %s as %s", asked.contact_id, asked.role
    )
    log_on = (asked.contact_id, asked.role, asked.partner_id)
    try:
        await ports.events.execute(application.log_on, _ctx(ports), *log_on)
    except (ContactNotFound, RoleNotHeld):
        if _contact_id(asked.person):
            raise
        await _admit(ports, asked)
        await ports.events.execute(application.log_on, _ctx(ports), *log_on)
    return Subject(asked.contact_id, CLIENT_ID, (asked.role,), asked.partner_id)


async def _admit(ports: Ports, asked: Asked) -> None:
    email = f"{asked.slug}@{asked.partner_id or 'vendor'}.example"
    invitation = Invitation(
        side=asked.side,
        partner_id=asked.partner_id,
        name=await ports.vault.seal(asked.contact_id, asked.name),
        email=await ports.vault.seal(asked.contact_id, email),
        email_key=ports.vault.key_of("contact-email", f"{asked.partner_id or 'vendor'} {email}"),
        language="en",
        roles=(asked.role,),
    )
    limits = LIMITS if asked.role in DECIDERS else ()
    new = (asked.contact_id, invitation, limits)
    await ports.events.execute(application.admit_contact, _ctx(ports), *new)


def _ctx(ports: Ports) -> Context:
    return Context(OPERATOR, ports.clock.now(), command_id=uuid4(), correlation_id=uuid4())


def _contact_id(person: str | None) -> UUID | None:
    try:
        return UUID(person or "")
    except ValueError:
        return None
