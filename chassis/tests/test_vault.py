"""Personal texts on a real key database."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import pytest
from cryptography.exceptions import InvalidTag
from psycopg_pool import AsyncConnectionPool

from chassis.vault import KeysUnavailable, Vault

from .sampled import prepared

BEN = UUID(int=11)
MASTER = bytes(range(32))


@asynccontextmanager
async def vault_on(dsn: str, master_key: bytes = MASTER) -> AsyncIterator[Vault]:
    async with AsyncConnectionPool(dsn, kwargs={"autocommit": True}, open=False) as keys:
        yield Vault(keys, master_key)


@pytest.fixture
async def vault(fresh_database: str) -> AsyncIterator[Vault]:
    prepared(fresh_database)
    async with vault_on(fresh_database) as vault:
        yield vault


async def test_what_is_sealed_opens_for_another_process(vault: Vault, fresh_database: str) -> None:
    sealed = await vault.seal(BEN, "Ben Müller")

    async with vault_on(fresh_database) as other:
        assert await other.open(sealed) == "Ben Müller"
    assert "Müller".encode() not in base64.b64decode(sealed.box)


async def test_a_subject_has_one_key_whoever_seals_first(vault: Vault, fresh_database: str) -> None:
    async with vault_on(fresh_database) as other:
        first, second = await vault.seal(BEN, "a"), await other.seal(BEN, "b")

    assert first.key == second.key
    assert await vault.open(second) == "b"


async def test_many_who_seal_at_once_get_one_key_a_subject(
    vault: Vault, fresh_database: str
) -> None:
    subjects = [BEN, *(uuid4() for _ in range(20))]

    async with vault_on(fresh_database) as other:
        sealed = await asyncio.gather(
            *(each.seal(subject, "x") for subject in subjects * 2 for each in (vault, other))
        )

    assert len({(one.subject, one.key) for one in sealed}) == len(subjects)


async def test_who_leaves_while_keys_are_made_disturbs_nobody(vault: Vault) -> None:
    leaving = asyncio.create_task(vault.seal(BEN, "a"))
    staying = asyncio.create_task(vault.seal(BEN, "b"))
    await asyncio.sleep(0)

    leaving.cancel()

    assert await vault.open(await staying) == "b"


async def test_after_an_erasure_nothing_of_the_subject_opens(vault: Vault) -> None:
    sealed, others = await vault.seal(BEN, "Ben"), await vault.seal(uuid4(), "Eva")

    await vault.erase(BEN)

    assert await vault.open(sealed) is None
    assert await vault.open(others) == "Eva"


async def test_a_text_sealed_before_the_erasure_stays_closed_though_the_subject_is_back(
    vault: Vault,
) -> None:
    before = await vault.seal(BEN, "Ben")
    await vault.erase(BEN)

    after = await vault.seal(BEN, "Benjamin")

    assert await vault.open(before) is None
    assert await vault.open(after) == "Benjamin"


async def test_a_box_does_not_open_under_another_name(vault: Vault) -> None:
    bens, evas = await vault.seal(BEN, "Ben"), await vault.seal(uuid4(), "Eva")

    with pytest.raises(ValueError, match="does not open"):
        await vault.open(evas.model_copy(update={"box": bens.box}))


async def test_keys_are_of_no_use_without_the_master_key(vault: Vault, fresh_database: str) -> None:
    sealed = await vault.seal(BEN, "Ben")

    async with vault_on(fresh_database, bytes(32)) as thief:
        with pytest.raises(InvalidTag):
            await thief.open(sealed)


async def test_a_document_is_opened_wherever_personal_fields_lie(vault: Vault) -> None:
    ben, gone = await vault.seal(BEN, 'Ben "B"'), await vault.seal(uuid4(), "gone")
    await vault.erase(gone.subject)
    document = {
        "name": ben.model_dump(mode="json"),
        "team": [{"name": gone.model_dump(mode="json"), "id": 1}],
        "box": "of chocolates",
    }

    opened = await vault.open_document(json.dumps(document).encode())

    assert json.loads(opened) == {
        "name": 'Ben "B"',
        "team": [{"name": None, "id": 1}],
        "box": "of chocolates",
    }


async def test_a_lookup_key_tells_apart_scope_and_text_and_master_key(vault: Vault) -> None:
    same = vault.key_of("e-mail", "ben@alpha.example")

    others = {vault.key_of("phone", "ben@alpha.example"), vault.key_of("e-mail", "eva@x.example")}

    assert same == vault.key_of("e-mail", "ben@alpha.example")
    assert same not in others | {
        Vault(vault._pool, bytes(32)).key_of("e-mail", "ben@alpha.example")
    }


async def test_without_the_key_database_it_says_so() -> None:
    pool = AsyncConnectionPool("postgresql://127.0.0.1:1/none", open=False, timeout=0.2)
    await pool.open()

    vault = Vault(pool, MASTER)
    outcomes = await asyncio.gather(
        vault.seal(BEN, "Ben"), vault.seal(uuid4(), "Eva"), return_exceptions=True
    )

    assert [type(outcome) for outcome in outcomes] == [KeysUnavailable] * 2
    await pool.close()
