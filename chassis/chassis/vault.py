"""Personal texts: sealed with a key per data subject, readable only while that key exists."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import os
import time
from collections.abc import Iterable
from typing import Any, TypeVar
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

Key = tuple[UUID, bytes]  # its id, and the secret
AnyKey = TypeVar("AnyKey", Key, Key | None)

# One round trip, whether the subjects have keys or get them; in one order, so that two processes
# never wait for each other. One that another process made at this moment does not come back: the
# next time it is seen.
KEYS_FOR = (
    "WITH given AS (SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::bytea[])"
    " AS given (subject, key, wrapped)),"
    " known AS (SELECT subject, stored.key, stored.wrapped"
    " FROM given JOIN subject_keys AS stored USING (subject)),"
    " made AS (INSERT INTO subject_keys (subject, key, wrapped) SELECT * FROM given"
    " WHERE subject NOT IN (SELECT subject FROM known) ORDER BY subject"
    " ON CONFLICT (subject) DO NOTHING RETURNING subject, key, wrapped)"
    " SELECT * FROM known UNION ALL SELECT * FROM made"
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
        # Secrets as bytes: a cipher object is soon made, and ten times as large.
        self._known: dict[UUID, tuple[float, Key | None]] = {}  # until when; None: it has none
        self._wanted: list[tuple[UUID, asyncio.Future[Key]]] = []
        self._making: asyncio.Task[None] | None = None

    async def seal(self, subject: UUID, text: str) -> Personal:
        """Creates the subject's key when there is none."""
        fresh = self._fresh(subject)
        key, secret = (fresh and fresh[1]) or await self._key_for(subject)
        nonce = os.urandom(NONCE)
        sealed = nonce + AESGCM(secret).encrypt(nonce, text.encode(), bound_to(subject, key))
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

    async def _key_for(self, subject: UUID) -> Key:
        """Those that are wanted while others are asked for are asked for together."""
        answer: asyncio.Future[Key] = asyncio.get_running_loop().create_future()
        self._wanted.append((subject, answer))
        if self._making is None:
            self._making = asyncio.create_task(self._make_all())
        return await answer

    async def _make_all(self) -> None:
        while self._wanted:
            wanted, self._wanted = self._wanted, []
            try:
                found = await self._made(list({subject for subject, _ in wanted}))
            except Exception as fault:  # noqa: BLE001 - whoever waits gets it
                for _, answer in wanted:
                    if not answer.done():
                        answer.set_exception(fault)
                continue
            for subject, answer in wanted:
                if subject not in found:
                    self._wanted.append((subject, answer))
                elif not answer.done():
                    answer.set_result(self._remember(subject, found[subject]))
        self._making = None

    async def _made(self, subjects: list[UUID]) -> dict[UUID, Key]:
        keys = [uuid4() for _ in subjects]
        wrapped = [self.wrap(AESGCM.generate_key(256), str(key)) for key in keys]
        rows = await self._ask(KEYS_FOR, (subjects, keys, wrapped))
        return {subject: self._unwrapped(key, secret) for subject, key, secret in rows}

    async def _keys(self, subjects: Iterable[UUID]) -> dict[UUID, Key]:
        """Of those that have one."""
        known = {subject: self._fresh(subject) for subject in subjects}
        keys = {subject: fresh[1] for subject, fresh in known.items() if fresh}
        if asked := [subject for subject, fresh in known.items() if not fresh]:
            rows = await self._ask(KEYS_OF, (asked,))
            found = {subject: self._unwrapped(key, wrapped) for subject, key, wrapped in rows}
            keys |= {subject: self._remember(subject, found.get(subject)) for subject in asked}
        return {subject: key for subject, key in keys.items() if key}

    def _fresh(self, subject: UUID) -> tuple[float, Key | None] | None:
        known = self._known.get(subject)
        return known if known and known[0] > time.monotonic() else None

    def _remember(self, subject: UUID, key: AnyKey) -> AnyKey:
        """The oldest first, so that those which are over are found there."""
        now = time.monotonic()
        while self._known and (
            len(self._known) >= REMEMBERED or next(iter(self._known.values()))[0] <= now
        ):
            del self._known[next(iter(self._known))]
        self._known.pop(subject, None)
        self._known[subject] = now + REMEMBERED_FOR, key
        return key

    def _unwrapped(self, key: UUID, wrapped: bytes) -> Key:
        return key, self.unwrap(wrapped, str(key))

    async def _ask(self, sql: Any, values: Any) -> list[tuple[Any, ...]]:
        for tries_left in (1, 0):
            try:
                async with self._pool.connection() as connection:
                    done = await connection.execute(sql, values, prepare=True)
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


def _opened(value: Any, keys: dict[UUID, Key]) -> Any:
    if isinstance(value, list):
        return [_opened(each, keys) for each in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == Personal.model_fields.keys():
        return _text(keys, UUID(value["subject"]), UUID(value["key"]), value["box"])
    return {name: _opened(each, keys) for name, each in value.items()}


def _text(keys: dict[UUID, Key], subject: UUID, key: UUID, box: str) -> str | None:
    found = keys.get(subject)
    if found is None or found[0] != key:
        return None
    try:
        sealed = base64.b64decode(box, validate=True)
        name, cipher = bound_to(subject, key), AESGCM(found[1])
        return cipher.decrypt(sealed[:NONCE], sealed[NONCE:], name).decode()
    except (binascii.Error, InvalidTag):
        raise ValueError("a personal text does not open under its own subject's key") from None
