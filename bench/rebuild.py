"""A read model filled anew from its topic, against COPY of the same rows into a table alike.

`python -m bench.rebuild [FACTS]` (100,000 if not said) starts a broker and a database of its own.
`plain list`: a fact of 400 bytes is a row of four columns with two indexes. `deal_list`: as
deal-svc keeps it, 1,500 bytes a fact and ten indexes, a tenth of the facts; each deal has two.
`projected`: the same facts only read, decoded and projected, which no rebuild can be faster than.
"""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
from aiokafka import AIOKafkaProducer
from psycopg import sql

from bench.footprint import pss
from bench.results import Aim, Series, in_rounds, show
from chassis.consuming.reading import Reader
from chassis.consuming.records import StoredRow, headers_of
from chassis.consuming.tracking import Place
from chassis.delivery import project
from chassis.publishing.topics import prepare_topics
from chassis.rebuilding.rebuild import rebuild
from chassis.rebuilding.topics import rarely_collected
from chassis.rebuilding.trusted import trusted
from chassis.running.service import Service
from chassis.sql import Statement
from chassis.storage.migrate import migrate
from chassis.storage.new_facts import new_event_id
from chassis.storage.wire import FIRST_CHAIN, chained, fact_digest
from chassis.store import Recorded
from deal_svc import projections
from ops.testing import a_database, own_backends
from prm_contracts.deals import DEALS
from prm_contracts.facts import Fact, Topic, decode, encode

FACTS, ROUNDS = 100_000, 3
AIMS = (Aim("rebuild of plain list", "rebuild", FACTS, 0.5, to="copy"),)
GOLDEN = Path(__file__).parents[1] / "contracts" / "history"


class ListedNote(Fact, type="prm.note.ListedNote.v1"):
    note: str


NOTES = Topic[ListedNote]("prm.listed-notes", (ListedNote,), owner="bench")
NOTE_LIST = """
CREATE TABLE note_list (
    note_id uuid PRIMARY KEY, version integer NOT NULL, sort_key text NOT NULL,
    document jsonb NOT NULL
);
CREATE INDEX note_list_in_order ON note_list (sort_key)"""


def note_list(recorded: Recorded[ListedNote]) -> Statement:
    document = {"note_id": str(recorded.aggregate_id), "note": recorded.fact.note}
    return Statement(
        "INSERT INTO note_list (note_id, version, sort_key, document)"
        " VALUES (%(id)s, %(version)s, %(sort_key)s, %(document)s::jsonb) ON CONFLICT DO NOTHING",
        {
            "id": recorded.aggregate_id,
            "version": recorded.version,
            "sort_key": f"{recorded.position:019d}",
            "document": json.dumps(document),
        },
    )


def deals() -> Iterable[Fact]:
    """One deal's facts."""
    for name in ("DealRegistered", "DealCleared"):
        text = (GOLDEN / f"prm.deal.{name}.v1.json").read_text()
        yield decode(f"prm.deal.{name}.v1", text.encode())


@dataclass(frozen=True)
class Case:
    """A read model, and the facts of each of its aggregates."""

    name: str
    service: Service
    facts: tuple[Fact, ...]
    migrations: tuple[str, ...] = ()
    tables: str = ""

    @property
    def table(self) -> str:
        return self.service.projections[0].name

    @property
    def topic(self) -> Topic[Any]:
        return self.service.projections[0].topic


def service(topic: Topic[Any], projection: Any) -> Service:
    projections = (project(topic, projection),)
    return Service("bench", "bench", "", (), (topic,), projections=projections)


PLAIN = Case(
    "plain list", service(NOTES, note_list), (ListedNote(note="x" * 389),), tables=NOTE_LIST
)
OF_DEALS = Case(
    "deal_list", service(DEALS, projections.deal_list), tuple(deals()), migrations=("deal_svc",)
)


@contextlib.asynccontextmanager
async def producing(bootstrap: str) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=20, max_batch_size=2**18)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


def stored(case: Case, count: int) -> Iterator[StoredRow]:
    """As a store would hold them: aggregate after aggregate, `count` facts in all."""
    data = [encode(fact) for fact in case.facts]
    at, actor = datetime(2027, 3, 1, tzinfo=UTC), UUID(int=9)
    position = 0
    while position < count:
        aggregate_id, chain = uuid4(), FIRST_CHAIN
        for version, (fact, encoded) in enumerate(zip(case.facts, data, strict=True), 1):
            position += 1
            instant = at + timedelta(seconds=position)
            identity: dict[str, Any] = {
                "aggregate_id": aggregate_id,
                "version": version,
                "type": fact.fact_type,
                "event_id": new_event_id(instant),
                "occurred_at": instant,
                "actor_id": actor,
                "data": encoded,
            }
            chain = chained(chain, fact_digest(**identity))
            yield StoredRow(
                **identity,
                position=position,
                recorded_at=instant,
                command_id=identity["event_id"],
                request_hash="",
                correlation_id=identity["event_id"],
                causation_id=None,
                traceparent="",
                chain=chain,
            )


async def publish(case: Case, count: int, dsn: str, bootstrap: str) -> None:
    """On the topic, and tracked as if the live delivery had taken all of it."""
    await prepare_topics(bootstrap, [case.topic], [])
    ends = dict.fromkeys(range(case.topic.partitions), -1)
    with psycopg.connect(dsn) as connection:
        with connection.cursor().copy("COPY sequences FROM STDIN") as seen:
            async with producing(bootstrap) as producer:
                sent = []
                for row in stored(case, count):
                    key = str(row.aggregate_id).encode()
                    headers = headers_of(row, case.topic.owner)
                    sent.append(
                        await producer.send(case.topic.name, row.data, key, headers=headers)
                    )
                    if row.version == len(case.facts):
                        seen.write_row((case.table, row.aggregate_id, row.version, row.chain))
                    if len(sent) == 5000 or row.position == count:
                        for each in await asyncio.gather(*sent):
                            ends[each.partition] = max(ends[each.partition], each.offset)
                        sent.clear()
        for partition, offset in ends.items():
            values = (case.table, case.topic.name, partition, offset)
            connection.execute("INSERT INTO tracking VALUES (%s, %s, %s, %s)", values)


@dataclass
class Watched:
    """What a rebuild told, and when; with its process' memory at 10, 50 and 100 %."""

    tell: Callable[[str], None]
    count: int
    began_at: float = field(default_factory=time.perf_counter)
    folded_after: float = 0.0
    memory: dict[int, float] = field(default_factory=dict)

    def __call__(self, line: str) -> None:
        done = line.split(": ")[1].split(" of ", maxsplit=1)[0].replace(",", "")
        if done.isdigit():
            self._look(100 * int(done) // self.count)
        if line.endswith(": indexes"):
            self.folded_after = time.perf_counter() - self.began_at
            self._look(100)

    def _look(self, percent: int) -> None:
        for each in (10, 50, 100):
            if percent >= each:
                self.memory.setdefault(each, pss("self"))


def rebuilt(case: Case, count: int, dsn: str, bootstrap: str, tell: Callable[[str], None]) -> Any:
    """Facts a second: folded, and all in all."""
    watched, cpu = Watched(tell, count), time.process_time()
    asyncio.run(
        rebuild(
            case.service,
            case.table,
            dsn=dsn,
            bootstrap=bootstrap,
            accepts_differences=True,
            tell=watched,
        )
    )
    took = time.perf_counter() - watched.began_at
    held = ", ".join(f"{each} %: {mib:.0f} MiB" for each, mib in sorted(watched.memory.items()))
    cpu = 1e6 * (time.process_time() - cpu) / count
    tell(f"{case.name}: {count / took:,.0f}/s, {cpu:.1f} us of its CPU a fact, PSS at {held}")
    return count / watched.folded_after, count / took


async def project_all(case: Case, bootstrap: str) -> None:
    reader, [projection] = Reader(bootstrap), case.service.projections
    places = [Place(case.topic.name, number) for number in range(case.topic.partitions)]
    bounds = await reader.bounds(places)
    with rarely_collected():
        async for records in reader.stretches({it: range(*bounds[it]) for it in places}):
            for record in records:
                projection.statement(trusted(record).recorded)
    await reader.close()


def projected(case: Case, count: int, bootstrap: str, tell: Callable[[str], None]) -> float:
    """Facts a second, if nobody kept what comes of them."""
    began_at, cpu = time.perf_counter(), time.process_time()
    asyncio.run(project_all(case, bootstrap))
    cpu = 1e6 * (time.process_time() - cpu) / count
    tell(f"{case.name}: projected, {cpu:.1f} us of its CPU a fact")
    return count / (time.perf_counter() - began_at)


COLUMNS = (
    "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute"
    " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''"
)


def copied(case: Case, count: int, dsn: str, rows: bytes) -> float:
    """Facts a second, if the rows that come of them were just copied into a table alike."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        [(columns,)] = connection.execute(COLUMNS, (case.table,)).fetchall()
        table = sql.Identifier(case.table)
        connection.execute("DROP TABLE IF EXISTS copied")
        connection.execute(sql.SQL("CREATE TABLE copied (LIKE {} INCLUDING ALL)").format(table))
        began_at = time.perf_counter()
        with connection.cursor().copy(f"COPY copied ({columns}) FROM STDIN") as copy:
            for start in range(0, len(rows), 2**16):
                copy.write(rows[start : start + 2**16])
        return count / (time.perf_counter() - began_at)


def rows_of(case: Case, dsn: str) -> bytes:
    with psycopg.connect(dsn) as connection:
        [(columns,)] = connection.execute(COLUMNS, (case.table,)).fetchall()
        with connection.cursor().copy(f"COPY {case.table} ({columns}) TO STDOUT") as copy:
            return b"".join(bytes(each) for each in copy)


def measured(
    case: Case, count: int, postgres: str, bootstrap: str, tell: Callable[[str], None]
) -> list[Series]:
    with a_database(postgres) as dsn:
        migrate(dsn, *case.migrations)
        with psycopg.connect(dsn) as connection:
            connection.execute(case.tables.encode())
        asyncio.run(publish(case, count, dsn, bootstrap))
        tell(f"{case.name}: {count:,} facts lie on the topic")
        rebuilt(case, count, dsn, bootstrap, tell)  # fills the live table
        rows = rows_of(case, dsn)
        found = in_rounds(
            ROUNDS,
            {
                "rebuild": lambda: rebuilt(case, count, dsn, bootstrap, tell),
                "projected": lambda: projected(case, count, bootstrap, tell),
                "copy": lambda: copied(case, count, dsn, rows),
            },
        )
    bench, unit = f"rebuild of {case.name}", "facts/s"
    folds, wholes = zip(*found["rebuild"], strict=True)
    return [
        Series(bench, "fold", count, unit, folds, ratio_to="copy"),
        Series(bench, "rebuild", count, unit, wholes, ratio_to="copy"),
        Series(bench, "projected", count, unit, found["projected"], ratio_to="copy"),
        Series(bench, "copy", count, unit, found["copy"]),
    ]


def measure(tell: Callable[[str], None], facts: int = FACTS) -> list[Series]:
    with own_backends() as backends:
        postgres, bootstrap = backends.postgres.start(), backends.kafka.start()
        return [
            *measured(PLAIN, facts, postgres, bootstrap, tell),
            *measured(OF_DEALS, facts // 10, postgres, bootstrap, tell),
        ]


def main() -> None:
    show(measure(print, int(sys.argv[1]) if len(sys.argv) > 1 else FACTS), AIMS)


if __name__ == "__main__":
    main()
