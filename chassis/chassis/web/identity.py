"""Who asks: access tokens (RFC 9068) verified with the issuer's public keys."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx2
import jwt
from jwt import PyJWK
from pydantic import BaseModel, ValidationError

from chassis.context import Actor
from chassis.errors import Unavailable
from chassis.web.problems import Unauthenticated

log = logging.getLogger(__name__)

AUDIENCE = "prm"
ALGORITHMS = ["ES256"]
TOKEN_TYPE = "at+jwt"  # noqa: S105 - a media type
VENDOR_ROLES = frozenset(
    {
        "channel-account-manager",
        "channel-operations",
        "finance-approver",
        "integrator",
        "platform-operator",
    }
)
PARTNER_ROLES = frozenset({"partner-admin", "partner-seller"})
OPERATOR = "platform-operator"

REFRESH_AT_MOST = 5.0  # seconds between two questions to the issuer about unknown keys
FIRST_AT_MOST = 0.5  # while there are none
REFRESH_AFTER = 300.0  # keys that were withdrawn are forgotten
REMEMBERED = 2048  # verified tokens

KeySource = Callable[[], Awaitable[dict[str, Any]]]


class IssuerUnavailable(Unavailable):
    """The issuer's keys are not known yet, so nobody can be recognised: ask again in a moment."""


class Claims(BaseModel):
    sub: UUID
    exp: int
    roles: tuple[str, ...] = ()
    partner_id: UUID | None = None


def keys_at(issuer_url: str) -> KeySource:
    uses_tls = issuer_url.startswith("https:")  # the world's certificates take 3 MiB and 50 ms

    async def fetched() -> dict[str, Any]:
        async with httpx2.AsyncClient(timeout=3, trust_env=False, verify=uses_tls) as client:
            answer = await client.get(f"{issuer_url}/.well-known/jwks.json")
            answer.raise_for_status()
            found: dict[str, Any] = answer.json()
            return found

    return fetched


class Identity:
    """Verifies tokens. The last good set of keys is kept while the issuer is away.

    Expiry uses the real time, also in a story: a token is a secret of the real world.
    """

    def __init__(self, issuer_url: str, source: KeySource) -> None:
        self._issuer, self._source = issuer_url, source
        self._keys: dict[str, PyJWK] = {}
        self._verified: dict[str, tuple[Actor, int]] = {}  # by the header with the token
        self._asked_at = float("-inf")
        self._asking = asyncio.Lock()

    @property
    def is_ready(self) -> bool:
        return bool(self._keys)

    async def refresh(self) -> None:
        """Asks the issuer for its keys, at most every few seconds; a failure keeps the old ones."""
        async with self._asking:
            pause = REFRESH_AT_MOST if self._keys else FIRST_AT_MOST
            if time.monotonic() - self._asked_at < pause:
                return
            self._asked_at = time.monotonic()
            try:
                found = await self._source()
                keys = {key["kid"]: PyJWK(key, ALGORITHMS[0]) for key in found["keys"]}
            except (httpx2.HTTPError, jwt.PyJWTError, Unavailable, ValueError, LookupError) as away:
                log.warning("the issuer's keys cannot be read: %s", type(away).__name__)
                return
            if keys.keys() != self._keys.keys():
                self._verified.clear()
            self._keys = keys

    async def actor(self, authorization: str | None) -> Actor:
        """Raises Unauthenticated, or IssuerUnavailable where that cannot be told."""
        authorization = authorization or ""
        if known := self._verified.get(authorization):
            actor, expires_at = known
            if time.time() < expires_at:
                return actor
            del self._verified[authorization]
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("no bearer token")
        claims = await self._claims(token)
        actor = actor_of(claims)
        if len(self._verified) >= REMEMBERED:
            self._verified.clear()
        self._verified[authorization] = actor, claims.exp
        return actor

    def known(self, authorization: str | None) -> UUID | None:
        """Who that was when it was verified last; None where it was not yet."""
        known = self._verified.get(authorization or "")
        return known[0].id if known else None

    async def _claims(self, token: str) -> Claims:
        try:
            head = jwt.get_unverified_header(token)
            if head.get("typ") != TOKEN_TYPE:
                raise Unauthenticated("not an access token")
            key = await self._key(str(head.get("kid")))
            found = jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                audience=AUDIENCE,
                issuer=self._issuer,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
            return Claims.model_validate(found)
        except ValidationError:
            raise Unauthenticated("its claims are not those of this platform") from None
        except (jwt.PyJWTError, ValueError) as fault:
            raise Unauthenticated(type(fault).__name__) from None

    async def _key(self, kid: str) -> PyJWK:
        if kid not in self._keys or time.monotonic() - self._asked_at > REFRESH_AFTER:
            await self.refresh()
        if not self._keys:
            raise IssuerUnavailable
        if kid not in self._keys:
            raise Unauthenticated("signed with a key that the issuer does not name")
        return self._keys[kid]


def actor_of(claims: Claims) -> Actor:
    """Roles that are unknown, or of the other side, are left out. Raises Unauthenticated."""
    roles = frozenset(claims.roles)
    if claims.partner_id is None and roles & PARTNER_ROLES:
        raise Unauthenticated("a partner's role without a partner")  # it would see all of them
    side = VENDOR_ROLES if claims.partner_id is None else PARTNER_ROLES
    return Actor(claims.sub, claims.partner_id, roles & side)
