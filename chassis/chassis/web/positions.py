"""Encrypted texts that come back: positions (what a client has seen), cursors of lists, links."""

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV

from chassis.errors import Invalid, Refusal
from chassis.sql import Statement
from chassis.store import Saved
from prm_contracts.facts import Topic

MOST = 64  # aggregates named in one position: a header has to hold it
NONCE = 12


class PositionUnreadable(Refusal):
    """Prm-Position is what a command of this platform answered: send it as it was, or leave it."""

    status = 400


class CursorUnreadable(Refusal):
    """A cursor goes on in the list that it came from, with the same filters: begin without one."""

    status = 400


class LinkUnreadable(Invalid):
    """This link is not whole: open it as it stands in the e-mail."""


class Seen(NamedTuple):
    """A version of an aggregate on a topic, which a reader shall have seen."""

    topic: str
    aggregate_id: UUID
    version: int


class Tokens:
    """`key`: the platform's token key, 32 bytes, the same in all services."""

    def __init__(self, key: bytes, topics: tuple[Topic[Any], ...]) -> None:
        self._box = AESGCM(key)
        self._links = AESSIV(hashlib.sha512(b"links" + key).digest())
        self._hash_key = hashlib.sha256(b"request hash" + key).digest()
        self._topic_of = {fact.fact_type: topic.name for topic in topics for fact in topic.facts}

    def position(self, saved: Saved) -> str:
        """What a command left, to be sent as Prm-Position by who wants to read it."""
        named = [
            (self._topic_of[fact_type], aggregate_id.hex, version)
            for (aggregate_id, version), fact_type in zip(saved.versions, saved.types, strict=False)
            if fact_type in self._topic_of
        ]
        return self._sealed(json.dumps(named[:MOST], separators=(",", ":")).encode(), b"position")

    def seen(self, position: str) -> list[Seen]:
        """Raises PositionUnreadable."""
        text = self._opened(position, b"position")
        if text is None:
            raise PositionUnreadable
        return [
            Seen(topic, UUID(hex=digits), version) for topic, digits, version in json.loads(text)
        ]

    def cursor(self, after: str, tenant_id: UUID | None, query: Statement) -> str:
        return self._sealed(after.encode(), _list_of(tenant_id, query))

    def after(self, cursor: str, tenant_id: UUID | None, query: Statement) -> str:
        """Raises CursorUnreadable, for another tenant's or another question's too."""
        text = self._opened(cursor, _list_of(tenant_id, query))
        if text is None:
            raise CursorUnreadable
        return text.decode()

    def link(self, purpose: str, text: str) -> str:
        """For whoever has no token but this one. The same each time: a mail may be sent again."""
        sealed = self._links.encrypt(text.encode(), [purpose.encode()])
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def linked(self, purpose: str, link: str) -> str:
        """Raises LinkUnreadable."""
        try:
            sealed = base64.b64decode(link + "=" * (-len(link) % 4), altchars=b"-_", validate=True)
            return self._links.decrypt(sealed, [purpose.encode()]).decode()
        except (ValueError, InvalidTag):
            raise LinkUnreadable from None

    def request_hash(self, *parts: bytes) -> str:
        """Keyed: a request may hold personal data, and the hash is stored and published."""
        return hmac.new(self._hash_key, b"\0".join(parts), hashlib.sha256).hexdigest()

    def _sealed(self, text: bytes, purpose: bytes) -> str:
        nonce = os.urandom(NONCE)
        return base64.urlsafe_b64encode(nonce + self._box.encrypt(nonce, text, purpose)).decode()

    def _opened(self, token: str, purpose: bytes) -> bytes | None:
        try:
            sealed = base64.b64decode(token, altchars=b"-_", validate=True)
            return self._box.decrypt(sealed[:NONCE], sealed[NONCE:], purpose)
        except (ValueError, InvalidTag):
            return None


def _list_of(tenant_id: UUID | None, query: Statement) -> bytes:
    """Which list of whose a cursor belongs to: the question without the place in its answer."""
    asked: Mapping[str, Any] = query.values
    values = sorted((name, repr(value)) for name, value in asked.items())
    return hashlib.sha256(f"{tenant_id} {query.sql} {values}".encode()).digest()
