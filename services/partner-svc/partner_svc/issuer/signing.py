"""The keys that sign access tokens: made here, wrapped in the database, rotated by age."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from jwt.algorithms import ECAlgorithm

from chassis.errors import Unavailable
from chassis.sql import Statement
from chassis.web.http import Ports
from partner_svc.issuer.terms import AskedTerms
from prm_contracts.facts import Value
from prm_contracts.values import Instant

ALGORITHM = "ES256"
LIFETIME = timedelta(hours=1)  # of a token
ROTATED_AFTER = timedelta(days=90)
# A key is published for so long before it signs, and after its last token has expired.
OVERLAP = timedelta(minutes=15)
PURPOSE = "signing key "  # and the kid: what a wrapped key is bound to


class SigningKeyUnreadable(Unavailable):
    """The signing key does not open with this PRM_MASTER_KEY: start with the one it was made
    under, or delete the rows of signing_keys, which ends all tokens.
    """

    retry_after = 60


class SigningKey(Value):
    """`wrapped`: the private key (PKCS 8, DER), sealed by the vault. `follows`: another's `kid`."""

    kid: str
    follows: str
    wrapped: bytes
    public_jwk: dict[str, Any]
    created_at: Instant


@dataclass(frozen=True)
class Subject:
    """For whom a token is: `partner_id` is the wall that all services put around it."""

    id: UUID
    client_id: str
    roles: tuple[str, ...]
    partner_id: UUID | None = None


class Signing:
    """Uses the real time, also in a story: a token is a secret of the real world."""

    def __init__(self, terms: AskedTerms) -> None:
        self._terms = terms

    async def published(self, ports: Ports) -> dict[str, Any]:
        """The JWKS (RFC 7517) of every key whose tokens may still be valid, or soon will be."""
        return {"keys": [key.public_jwk for key in await self._keys(ports)]}

    async def token(self, ports: Ports, subject: Subject) -> str:
        """An access token as in RFC 9068. Raises SigningKeyUnreadable."""
        now = datetime.now(UTC)
        keys = await self._keys(ports)
        seasoned = [key for key in keys if key.created_at <= now - OVERLAP]
        key = seasoned[-1] if seasoned else keys[0]
        claims = {
            "iss": self._terms().url,
            "aud": "prm",
            "sub": str(subject.id),
            "client_id": subject.client_id,
            "roles": list(subject.roles),
            "iat": int(now.timestamp()),
            "nbf": int(now.timestamp()),
            "exp": int((now + LIFETIME).timestamp()),
            "jti": str(uuid4()),
        }
        if subject.partner_id:
            claims["partner_id"] = str(subject.partner_id)
        head = {"kid": key.kid, "typ": "at+jwt"}
        return jwt.encode(claims, _opened(ports, key), ALGORITHM, headers=head)

    async def _keys(self, ports: Ports) -> list[SigningKey]:
        """The oldest first, at least one; of those that are made at once one is kept."""
        keys = await _stored(ports)
        if not keys or keys[-1].created_at <= datetime.now(UTC) - ROTATED_AFTER:
            await _store(ports, _made(ports, follows=keys[-1].kid if keys else ""))
            keys = await _stored(ports)
        return keys


async def _stored(ports: Ports) -> list[SigningKey]:
    """Up to the last that can have signed a valid token, and those after it; the newest always."""
    ended = datetime.now(UTC) - (ROTATED_AFTER + 2 * OVERLAP + LIFETIME)
    query = Statement(
        "SELECT kid, follows, wrapped, public_jwk, created_at FROM signing_keys"
        " WHERE created_at > %(ended)s"
        " OR created_at = (SELECT max(created_at) FROM signing_keys) ORDER BY created_at, kid",
        {"ended": ended},
    )
    return await ports.database.rows(SigningKey, query)


async def _store(ports: Ports, key: SigningKey) -> None:
    await ports.database.fetch(
        "INSERT INTO signing_keys (kid, follows, wrapped, public_jwk, created_at)"
        " VALUES (%(kid)s, %(follows)s, %(wrapped)s, %(public_jwk)s, %(created_at)s)"
        " ON CONFLICT DO NOTHING RETURNING kid",
        dict(key) | {"public_jwk": json.dumps(key.public_jwk)},
    )


def _made(ports: Ports, follows: str) -> SigningKey:
    private, kid = ec.generate_private_key(ec.SECP256R1()), uuid4().hex
    der = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    named = {"kid": kid, "use": "sig", "alg": ALGORITHM}
    return SigningKey(
        kid=kid,
        follows=follows,
        wrapped=ports.vault.wrap(der, PURPOSE + kid),
        public_jwk={**ECAlgorithm.to_jwk(private.public_key(), as_dict=True), **named},
        created_at=datetime.now(UTC),
    )


def _opened(ports: Ports, key: SigningKey) -> ec.EllipticCurvePrivateKey:
    try:
        der = ports.vault.unwrap(key.wrapped, PURPOSE + key.kid)
    except InvalidTag:
        raise SigningKeyUnreadable from None
    private = load_der_private_key(der, password=None)
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise SigningKeyUnreadable
    return private
