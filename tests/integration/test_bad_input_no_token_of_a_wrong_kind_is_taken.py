"""Tokens of every wrong kind at every operation: 401 or 403, and nothing of what there is told."""

import base64
import hmac
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import jwt
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
)

from chassis.web.positions import Tokens
from prm_contracts.partners import Unsubscription

from .operations import ROLES, Asking, Operation, asking
from .story import Story

NOW = int(time.time())
VENDORS = tuple(role for role in ROLES if not role.startswith("partner-"))


@dataclass(frozen=True)
class Forger:
    """Somebody who got hold of the issuer's signing key, or of its public half alone."""

    issuer: str
    kid: str
    key: ec.EllipticCurvePrivateKey

    def token(self, head: dict[str, Any] | None = None, key: Any = None, **claims: Any) -> str:
        """Valid for all that the vendor's people may do, but for what is named; None: left out."""
        said: dict[str, Any] = {
            "iss": self.issuer,
            "aud": "prm",
            "sub": str(uuid4()),
            "roles": VENDORS,
        }
        said |= {"iat": NOW, "nbf": NOW, "exp": NOW + 3600} | claims
        given = {"kid": self.kid, "typ": "at+jwt"} | (head or {})
        kept = {name: value for name, value in said.items() if value is not None}
        return jwt.encode(kept, key or self.key, "ES256", given)

    def by_hand(self, algorithm: str, secret: bytes | None = None) -> str:
        """Algorithms under which no library would sign with such a key."""
        whole = self.token().split(".")
        whole[0] = encoded({"alg": algorithm, "typ": "at+jwt", "kid": self.kid})
        mac = hmac.new(secret, ".".join(whole[:2]).encode(), "sha256").digest() if secret else b""
        return ".".join([*whole[:2], base64.urlsafe_b64encode(mac).decode().rstrip("=")])

    @property
    def public(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def encoded(part: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


@pytest.fixture(scope="module")
def partner_id(story: Story) -> str:
    return story.partners(1)[0].id


@pytest.fixture(scope="module")
def asks(story: Story, partner_id: str) -> Asking:
    return asking(story, partner_id)


@pytest.fixture(scope="module")
def forger(story: Story) -> Forger:
    state = story.platform.state
    with psycopg.connect(state.addresses["partner-svc"].database_dsn) as database:
        kept = "SELECT kid, wrapped FROM signing_keys ORDER BY created_at LIMIT 1"
        [(kid, wrapped)] = database.execute(kept).fetchall()
    master = AESGCM(base64.b64decode(state.secrets.master_key))
    key = load_der_private_key(
        master.decrypt(wrapped[:12], wrapped[12:], f"signing key {kid}".encode()), None
    )
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return Forger(story.platform.url("partner-svc"), kid, key)


WRONG: dict[str, Callable[[Forger], str | None]] = {
    "absent": lambda it: None,
    "empty": lambda it: "",
    "another scheme": lambda it: "Basic eDp5",
    "no scheme": lambda it: it.token(),
    "two of them": lambda it: f"Bearer {it.token()} {it.token()}",
    "no token": lambda it: "Bearer x",
    "no JSON in it": lambda it: "Bearer x.y.z",
    "a list in it": lambda it: f"Bearer {encoded([])}.{encoded([])}.x",
    "unsigned": lambda it: f"Bearer {it.by_hand('none')}",
    "signed with the public key": lambda it: f"Bearer {it.by_hand('HS256', it.public)}",
    "an unknown algorithm": lambda it: f"Bearer {it.by_hand('XX1')}",
    "no algorithm's name": lambda it: f"Bearer {it.by_hand('')}",
    "signature cut off": lambda it: f"Bearer {it.token()[:-8]}",
    "another's key": lambda it: f"Bearer {it.token(key=ec.generate_private_key(ec.SECP256R1()))}",
    "another curve": lambda it: f"Bearer {it.by_hand('ES384')}",
    "an unknown key": lambda it: f"Bearer {it.token({'kid': 'nobody'})}",
    "a key id that is a path": lambda it: f"Bearer {it.token({'kid': '../../../dev/null'})}",
    "a key id that is SQL": lambda it: f"Bearer {it.token({'kid': chr(39) + ' OR 1=1 --'})}",
    "a key of its own": lambda it: f"Bearer {it.token({'jwk': {'kty': 'EC'}, 'kid': 'mine'})}",
    "another type": lambda it: f"Bearer {it.token({'typ': 'JWT'})}",
    "expired": lambda it: f"Bearer {it.token(exp=NOW - 1)}",
    "not yet valid": lambda it: f"Bearer {it.token(nbf=NOW + 3600)}",
    "of another issuer": lambda it: f"Bearer {it.token(iss='http://issuer.example')}",
    "for another audience": lambda it: f"Bearer {it.token(aud='other')}",
    "no expiry": lambda it: f"Bearer {it.token(exp=None)}",
    "no issuer": lambda it: f"Bearer {it.token(iss=None)}",
    "no audience": lambda it: f"Bearer {it.token(aud=None)}",
    "no subject": lambda it: f"Bearer {it.token(sub=None)}",
    "a subject that is no id": lambda it: f"Bearer {it.token(sub='ben')}",
    "an expiry that is none": lambda it: f"Bearer {it.token(exp='never')}",
    "an expiry without end": lambda it: f"Bearer {it.token(exp=math.inf)}",
    "a partner that is no id": lambda it: f"Bearer {it.token(partner_id='alpha')}",
    "roles that are no list": lambda it: f"Bearer {it.token(roles='channel-operations')}",
    "a partner's role without a partner": lambda it: f"Bearer {it.token(roles=['partner-admin'])}",
}


def answered(asks: Asking, operation: Operation, bearer: str | None) -> tuple[int, str, str]:
    answer = asks.send(operation, operation.filled("x"), authorization=bearer, content=b"[")
    kind = answer.json()["type"].removeprefix("urn:problem:")
    return answer.status_code, kind, answer.headers.get("WWW-Authenticate", "")[:6]


@pytest.mark.parametrize("kind", WRONG)
def test_it_is_not_taken_anywhere(asks: Asking, forger: Forger, kind: str) -> None:
    bearer = WRONG[kind](forger)

    answers = {
        str(operation): answered(asks, operation, bearer)
        for operation in asks.all
        if operation.roles
    }

    assert set(answers.values()) == {(401, "unauthenticated", "Bearer")}


def test_the_forger_would_be_believed_otherwise(asks: Asking, forger: Forger) -> None:
    """Else all of the above could be refused for another reason."""
    good = f"Bearer {forger.token()}"

    answers = [
        asks.send(operation, authorization=good).status_code
        for operation in asks.all
        if operation.roles & set(VENDORS)
    ]

    assert not {401, 403} & set(answers)


@pytest.mark.parametrize("role", [*ROLES, "emperor", "none"])
def test_a_role_that_may_not_is_told_which_may(
    asks: Asking, forger: Forger, partner_id: str, role: str
) -> None:
    of_partner: dict[str, Any] = {}
    if role.startswith("partner-"):
        of_partner = {"partner_id": partner_id}
    roles = [] if role == "none" else [role]
    bearer = f"Bearer {forger.token(roles=roles, **of_partner)}"

    for operation in asks.all:
        if operation.roles and role not in operation.roles:
            answer = asks.send(operation, authorization=bearer)

            assert answer.status_code == 403, (str(operation), answer.text)
            assert answer.json()["type"] == "urn:problem:role-needed"
            assert set(answer.json()["roles"]) == operation.roles


@pytest.mark.parametrize("of_partner", [True, False])
def test_a_role_of_the_other_side_is_none(
    asks: Asking, forger: Forger, partner_id: str, of_partner: bool
) -> None:
    """A vendor's role with a partner opens nothing of the vendor's."""
    claims: dict[str, Any] = {"roles": ["partner-admin", *VENDORS]}
    if of_partner:
        claims = {"partner_id": partner_id}
    bearer = f"Bearer {forger.token(**claims)}"

    answers = {
        asks.send(operation, authorization=bearer).status_code
        for operation in asks.all
        if operation.roles
    }

    assert answers == ({403} if of_partner else {401})


def test_what_is_open_to_all_needs_no_token(story: Story, asks: Asking) -> None:
    """A link in an e-mail holds what it needs."""
    links = Tokens(base64.b64decode(story.platform.state.secrets.token_key), ())
    asked = Unsubscription(contact_id=uuid4(), group="deals", language="en")
    link = links.link(Unsubscription.purpose, asked.model_dump_json())
    for operation in asks.all:
        if not operation.roles and operation.method == "GET":
            params = dict.fromkeys(operation.needed, link)
            assert asks.send(operation, params=params).status_code == 200, str(operation)
