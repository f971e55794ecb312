"""Personal texts: sealed with a key per data subject, readable only while that key exists."""

import base64
import binascii
import hashlib
import hmac
import json
import os
import time
from collections.abc import Iterable
from typing import Any
from uuid import UUID, uuid4

import psycopg
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from chassis.errors import Unavailable
from prm_contracts.facts import Personal

NONCE = 12
REMEMBERED_FOR = 30.0  # seconds: after an erasure, others can read no longer than that
REMEMBERED = 10_000

CREATE = (
    "INSERT INTO subject_keys (subject, key, wrapped) VALUES (%s, %s, %s)"
    " ON CONFLICT (subject) DO NOTHING"
)
KEYS_OF = "SELECT subject, key, wrapped FROM subject_keys WHERE subject = ANY (%s)"


class KeysUnavailable(Unavailable):
    """The keys of personal data cannot be read at the moment: ask again in a moment."""


class Vault:
    """Seals and opens. Keys lie in the platform's key database, wrapped by `master_key`.

    All methods raise KeysUnavailable while the key database is away.
    """

    def __init__(self, keys: AsyncConnectionPool, master_key: bytes) -> None:
        self._pool = keys
        self._wrap = AESGCM(master_key)
        self._lookup_key = hashlib.sha256(b"lookup" + master_key).digest()
        self._known: dict[UUID, tuple[float, UUID | None, AESGCM | None]] = {}

    async def seal(self, subject: UUID, text: str) -> Personal:
        """Creates the subject's key when there is none."""
        found = (await self._keys([subject])).get(subject) or await self._new_key(subject)
        key, box = found
        nonce = os.urandom(NONCE)
        sealed = nonce + box.encrypt(nonce, text.encode(), bound_to(subject, key))
        return Personal(subject=subject, key=key, box=base64.b64encode(sealed).decode())

    async def open(self, personal: Personal) -> str | None:
        """The text, or None once the subject is erased. Raises ValueError for a forged box."""
        keys = await self._keys([personal.subject])
        return _text(keys, personal.subject, personal.key, personal.box)

    async def open_document(self, document: bytes) -> bytes:
        """The JSON document with each personal field opened; null where the subject is erased."""
        if b'"box"' not in document:
            return document
        read = json.loads(document)
        keys = await self._keys({UUID(found["subject"]) for found in personal_in(read)})
        return json.dumps(_opened(read, keys), ensure_ascii=False).encode()

    def key_of(self, scope: str, normalised: str) -> UUID:
        """A keyed hash of a personal text: for look-ups and reservations that do not tell it."""
        mac = hmac.new(self._lookup_key, f"{scope}\0{normalised}".encode(), hashlib.sha256)
        return UUID(bytes=mac.digest()[:16], version=5)

    async def erase(self, subject: UUID) -> None:
        """Destroys the subject's key for ever. The role of this service must be allowed to."""
        await self._ask("DELETE FROM subject_keys WHERE subject = %s", (subject,))
        self._known.pop(subject, None)

    def wrap(self, secret: bytes, purpose: str) -> bytes:
        """A secret of the service itself, such as a signing key, sealed for its own tables."""
        nonce = os.urandom(NONCE)
        return nonce + self._wrap.encrypt(nonce, secret, purpose.encode())

    def unwrap(self, wrapped: bytes, purpose: str) -> bytes:
        return self._wrap.decrypt(wrapped[:NONCE], wrapped[NONCE:], purpose.encode())

    async def check(self) -> None:
        """Raises KeysUnavailable."""
        await self._ask("SELECT 1", ())

    async def _new_key(self, subject: UUID) -> tuple[UUID, AESGCM]:
        key = uuid4()
        wrapped = self.wrap(AESGCM.generate_key(256), str(key))
        await self._ask(CREATE, (subject, key, wrapped))
        self._known.pop(subject, None)
        # Another process may have been first: what lies there is the key.
        return (await self._keys([subject]))[subject]

    async def _keys(self, subjects: Iterable[UUID]) -> dict[UUID, tuple[UUID, AESGCM]]:
        now = time.monotonic()
        fresh = {
            subject: known
            for subject in subjects
            if (known := self._known.get(subject)) and known[0] > now
        }
        if asked := [subject for subject in subjects if subject not in fresh]:
            if len(self._known) > REMEMBERED:
                self._known.clear()
            rows = await self._ask(KEYS_OF, (asked,))
            found = {subject: (key, AESGCM(self.unwrap(w, str(key)))) for subject, key, w in rows}
            for subject in asked:
                key, box = found.get(subject, (None, None))
                fresh[subject] = self._known[subject] = now + REMEMBERED_FOR, key, box
        return {
            subject: (key, box)
            for subject, (_, key, box) in fresh.items()
            if key is not None and box is not None
        }

    async def _ask(self, sql: Any, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        for tries_left in (1, 0):
            try:
                async with self._pool.connection() as connection:
                    done = await connection.execute(sql, values)
                    return await done.fetchall() if done.description else []
            except psycopg.OperationalError as away:
                if not tries_left or isinstance(away, PoolTimeout):
                    raise KeysUnavailable from away
                await self._pool.check()
        raise AssertionError


def bound_to(subject: UUID, key: UUID) -> bytes:
    """What a box is bound to: it opens under no other subject's name."""
    return f"{subject} {key}".encode()


def personal_in(value: Any) -> list[dict[str, str]]:
    """The personal fields in a JSON value, wherever they lie."""
    if isinstance(value, dict):
        if value.keys() == Personal.model_fields.keys():
            return [value]
        value = list(value.values())
    return (
        [found for each in value for found in personal_in(each)] if isinstance(value, list) else []
    )


def _opened(value: Any, keys: dict[UUID, tuple[UUID, AESGCM]]) -> Any:
    if isinstance(value, list):
        return [_opened(each, keys) for each in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == Personal.model_fields.keys():
        return _text(keys, UUID(value["subject"]), UUID(value["key"]), value["box"])
    return {name: _opened(each, keys) for name, each in value.items()}


def _text(keys: dict[UUID, tuple[UUID, AESGCM]], subject: UUID, key: UUID, box: str) -> str | None:
    found = keys.get(subject)
    if found is None or found[0] != key:
        return None
    try:
        sealed = base64.b64decode(box, validate=True)
        return found[1].decrypt(sealed[:NONCE], sealed[NONCE:], bound_to(subject, key)).decode()
    except (binascii.Error, InvalidTag):
        raise ValueError("a personal text does not open under its own subject's key") from None
