"""Applications that log on by themselves: an id, a secret that is shown once, its hash kept."""

import asyncio
import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from chassis.context import Context
from chassis.errors import Conflict
from chassis.sql import Statement
from chassis.web.http import Ports
from partner_svc.issuer.signing import Subject
from prm_contracts.facts import Value
from prm_contracts.values import Name, Role

# They read what the vendor's integrators may read; people hold every other role.
ROLES: tuple[Role, ...] = ("integrator",)

hasher = PasswordHasher()  # argon2id
# Verified for unknown ids, so that the time taken does not tell which ids exist.
NOBODY = hasher.hash(secrets.token_urlsafe(32))


class RegisterApplication(Value):
    name: Name


class RegisteredApplication(Value):
    """`client_secret` is shown this once."""

    client_id: UUID
    client_secret: str
    roles: tuple[Role, ...]


class Credentials(Value):
    application_id: UUID
    roles: tuple[Role, ...]
    secret_hash: str


@dataclass(eq=False)
class SecretShownAlready(Conflict):
    """A secret is shown once only: register the application again with a new Idempotency-Key."""

    client_id: UUID


async def register(ports: Ports, ctx: Context, name: str) -> RegisteredApplication:
    """Raises SecretShownAlready when it is asked twice."""
    client_id, secret = ctx.new_id("application"), secrets.token_urlsafe(32)
    kept = {
        "id": client_id,
        "name": name,
        "roles": json.dumps(ROLES),
        "secret_hash": await asyncio.to_thread(hasher.hash, secret),
        "created_by": ctx.actor.id,
        "created_at": datetime.now(UTC),
    }
    is_new = await ports.database.fetch(
        "INSERT INTO applications"
        " (application_id, name, roles, secret_hash, created_by, created_at)"
        " VALUES (%(id)s, %(name)s, %(roles)s, %(secret_hash)s, %(created_by)s, %(created_at)s)"
        " ON CONFLICT DO NOTHING RETURNING application_id",
        kept,
    )
    if not is_new:
        raise SecretShownAlready(client_id)
    return RegisteredApplication(client_id=client_id, client_secret=secret, roles=ROLES)


async def recognised(ports: Ports, client_id: str, secret: str) -> Subject | None:
    """None for an unknown id as for a wrong secret."""
    query = Statement(
        "SELECT application_id, roles, secret_hash FROM applications"
        " WHERE application_id::text = %(client_id)s",
        {"client_id": client_id.lower()},
    )
    found = await ports.database.rows(Credentials, query)
    try:
        await asyncio.to_thread(hasher.verify, found[0].secret_hash if found else NOBODY, secret)
    except VerifyMismatchError:
        return None
    return Subject(found[0].application_id, client_id, found[0].roles) if found else None
