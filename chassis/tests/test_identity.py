"""Whose tokens are believed."""

import asyncio
import base64
import hmac
import json
import time
from typing import Any
from uuid import UUID

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from chassis.context import Actor
from chassis.web.identity import Identity, IssuerUnavailable
from chassis.web.problems import Unauthenticated

from .sampled import ISSUER, SIGNING_KEY, published_keys, token

ALPHA = UUID(int=1)
SOMEBODY_ELSES_KEY = ec.generate_private_key(ec.SECP256R1())
NO_PORTS: Any = None
NOW = int(time.time())
GOOD = {"iss": ISSUER, "aud": "prm", "sub": str(ALPHA), "exp": NOW + 600}


class Issuer:
    """Publishes the sample's key, unless it is away; counts how often it was asked."""

    def __init__(self) -> None:
        self.is_away, self.asked = False, 0

    async def keys(self) -> dict[str, Any]:
        self.asked += 1
        if self.is_away:
            raise httpx2.ConnectError("away")
        return await published_keys(NO_PORTS)


@pytest.fixture
async def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
async def identity(issuer: Issuer) -> Identity:
    identity = Identity(ISSUER, issuer.keys)
    await identity.refresh()
    return identity


def base64url(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).decode().rstrip("=")


def unsigned() -> str:
    head = {"alg": "none", "typ": "at+jwt", "kid": "sample"}
    return f"{base64url(json.dumps(head).encode())}.{base64url(json.dumps(GOOD).encode())}."


def signed_with_the_public_key() -> str:
    """HS256 under the published key: the classic confusion of algorithms, made by hand."""
    public = SIGNING_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    parts = [base64url(json.dumps({"alg": "HS256", "typ": "at+jwt", "kid": "sample"}).encode())]
    parts.append(base64url(json.dumps(GOOD).encode()))
    mac = hmac.new(public, ".".join(parts).encode(), "sha256").digest()
    return ".".join([*parts, base64url(mac)])


async def test_the_claims_say_who_it_is(identity: Identity) -> None:
    vendor = await identity.actor(f"Bearer {token('channel-operations')}")
    partner = await identity.actor(f"bearer {token('partner-seller', partner_id=ALPHA)}")

    assert vendor == Actor(UUID(int=7), None, frozenset({"channel-operations"}))
    assert partner == Actor(UUID(int=7), ALPHA, frozenset({"partner-seller"}))


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "Basic eDp5",
        "Bearer x.y.z",
        f"Bearer {unsigned()}",
        f"Bearer {signed_with_the_public_key()}",
        f"Bearer {token('channel-operations', key=SOMEBODY_ELSES_KEY)}",
        f"Bearer {token('channel-operations', iss='http://evil.example')}",
        f"Bearer {token('channel-operations', aud='other')}",
        f"Bearer {token('channel-operations', exp=NOW - 1)}",
        f"Bearer {token('channel-operations', exp=None)}",
        f"Bearer {token('channel-operations', nbf=NOW + 86_400)}",
        f"Bearer {token('channel-operations', sub='ben')}",
        f"Bearer {token('channel-operations', roles='channel-operations')}",
        f"Bearer {token('channel-operations', head={'typ': 'JWT'})}",
        f"Bearer {token('channel-operations', head={'kid': '../../etc/passwd'})}",
        f"Bearer {token('partner-admin')}",
    ],
)
async def test_whatever_is_wrong_with_a_token_it_is_refused(identity: Identity, bad: str) -> None:
    with pytest.raises(Unauthenticated):
        await identity.actor(bad)


async def test_no_token_at_all_is_refused(identity: Identity) -> None:
    with pytest.raises(Unauthenticated):
        await identity.actor(None)


async def test_roles_that_are_unknown_or_of_the_other_side_are_left_out(identity: Identity) -> None:
    vendor = await identity.actor(f"Bearer {token('channel-operations', 'emperor')}")
    mixed = token("partner-seller", "channel-operations", partner_id=ALPHA)
    partner = await identity.actor(f"Bearer {mixed}")

    assert vendor.roles == {"channel-operations"}
    assert partner.roles == {"partner-seller"}


async def test_a_token_is_refused_once_it_has_expired_though_it_was_verified_before(
    identity: Identity,
) -> None:
    expires_at = int(time.time()) + 2
    good = f"Bearer {token('channel-operations', exp=expires_at)}"
    await identity.actor(good)

    while time.time() < expires_at:
        await asyncio.sleep(0.05)

    with pytest.raises(Unauthenticated):
        await identity.actor(good)


async def test_the_last_good_keys_are_kept_while_the_issuer_is_away(
    identity: Identity, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer.is_away = True
    monkeypatch.setattr("chassis.web.identity.REFRESH_AFTER", 0)
    monkeypatch.setattr("chassis.web.identity.REFRESH_AT_MOST", 0)

    actor = await identity.actor(f"Bearer {token('channel-operations')}")

    assert actor.roles
    assert issuer.asked == 2


async def test_nobody_is_recognised_before_the_keys_are_known(issuer: Issuer) -> None:
    issuer.is_away = True
    identity = Identity(ISSUER, issuer.keys)

    with pytest.raises(IssuerUnavailable):
        await identity.actor(f"Bearer {token('channel-operations')}")
    assert not identity.is_ready


async def test_unknown_key_ids_do_not_make_us_ask_the_issuer_again_and_again(
    identity: Identity, issuer: Issuer
) -> None:
    for number in range(10):
        strange = token("channel-operations", head={"kid": str(number)})
        with pytest.raises(Unauthenticated):
            await identity.actor(f"Bearer {strange}")

    assert issuer.asked == 1


async def test_a_key_that_the_issuer_names_later_is_learnt(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chassis.web.identity.FIRST_AT_MOST", 0)
    keys: dict[str, Any] = {"keys": []}

    async def published() -> dict[str, Any]:
        return keys

    identity = Identity(ISSUER, published)
    await identity.refresh()
    keys |= await issuer.keys()

    assert (await identity.actor(f"Bearer {token('channel-operations')}")).roles
