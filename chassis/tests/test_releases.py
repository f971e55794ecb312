"""Two releases of a service side by side on the same store and topics, and the way back."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest

from chassis.publishing.topics import prepare_topics
from chassis.storage.migrate import migrate
from prm_contracts.facts import Topic

from .parked import parked
from .reactions import MODELS, journal_of, until
from .releases import V1, V2, Parcels, weighed_in_v1


@dataclass(frozen=True)
class Installation:
    run: str
    dsn: str
    bootstrap: str

    @asynccontextmanager
    async def release(self, number: int, role: str = "all") -> AsyncIterator["Running"]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.releases"),
            *(str(number), role, self.run, self.dsn, self.bootstrap),
            cwd=Path(__file__).parents[1],
            stdin=PIPE,
            stdout=PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        running = Running(process)
        try:
            yield running
            await running.ended()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    def stored(self, parcel: UUID) -> list[str]:
        with psycopg.connect(self.dsn) as connection:
            rows = connection.execute(
                "SELECT type FROM events WHERE aggregate_id = %s ORDER BY version", (parcel,)
            )
            return [row[0] for row in rows]

    def tallied(self) -> list[int]:
        with psycopg.connect(self.dsn) as connection:
            rows = connection.execute(
                "SELECT (convert_from(data, 'UTF8')::json ->> 'grams')::int FROM events"
                " WHERE type LIKE 'prm.parcel-tally.%' ORDER BY 1"
            )
            return [row[0] for row in rows]


class Running:
    def __init__(self, process: Process) -> None:
        self._process = process

    async def weigh(self, parcel: UUID, grams: int) -> str:
        """The parcel's version, or the refusal."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{parcel} {grams}\n".encode())
        async with asyncio.timeout(30):
            return (await self._process.stdout.readline()).decode().strip()

    async def ended(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        async with asyncio.timeout(30):
            assert await self._process.wait() == 0


@pytest.fixture
async def installation(
    fresh_database: str, kafka_broker: str, monkeypatch: pytest.MonkeyPatch
) -> Installation:
    monkeypatch.setattr(Topic, "carrying", {})
    run = uuid4().hex[:8]
    parcels = Parcels(run, weighed_in_v1())
    migrate(fresh_database)
    with psycopg.connect(fresh_database) as owner:
        owner.execute(MODELS)
    await prepare_topics(kafka_broker, parcels.topics, [parcels.name])
    return Installation(run, fresh_database, kafka_broker)


async def test_an_old_and_a_new_release_run_side_by_side_and_the_old_one_takes_over_again(
    installation: Installation,
) -> None:
    parcel = uuid4()

    async with installation.release(2) as old:
        async with installation.release(3) as new:
            told = [await old.weigh(parcel, 1), await new.weigh(parcel, 2)]
            told += [await old.weigh(parcel, 3), await new.weigh(parcel, 4)]
            await until(lambda: len(journal_of(installation.dsn)) == 4)
        told.append(await old.weigh(parcel, 5))
        await until(lambda: len(installation.tallied()) == 5)

    assert told == ["1", "2", "3", "4", "5"]
    assert installation.stored(parcel) == [V1, V2, V1, V2, V1]
    assert installation.tallied() == [1, 2, 3, 4, 5]
    assert [note.split()[0] for note in journal_of(installation.dsn)] == ["1", "2", "3", "4", "5"]
    assert parked(installation.dsn) == []


async def test_what_a_release_cannot_read_yet_waits_for_one_that_can(
    installation: Installation,
) -> None:
    parcel, other = uuid4(), uuid4()
    async with installation.release(3, "api") as newest:
        await newest.weigh(parcel, 1)

    async with installation.release(1) as oldest:
        refused = await oldest.weigh(parcel, 2)
        await oldest.weigh(other, 3)
        await until(lambda: installation.tallied() == [3] and len(parked(installation.dsn)) == 2)
        before = parked(installation.dsn)
    async with installation.release(2):
        await until(lambda: installation.tallied() == [1, 3])

    assert refused == "WrittenByANewerRelease"
    assert installation.stored(parcel) == [V2]
    assert before == [("journal", "unknown", "waiting"), ("policies", "unknown", "waiting")]
    assert sorted(journal_of(installation.dsn)) == ["1 -", "3 -"]
