"""A read model filled anew from its topic, against COPY of the same rows into a table alike.

`python -m bench.rebuild [FACTS]` (100,000 if not said) starts a broker and a database of its own.
`plain list`: a fact of 400 bytes is a row of four columns with two indexes. `deal_list`: as
deal-svc keeps it, 1,500 bytes a fact and ten indexes, a tenth of the facts; each deal has two.
`projected`: the same facts only read, decoded and projected, which no rebuild can be faster than.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from bench.footprint import pss
from bench.history import fill, stored, track
from bench.results import Aim, Series, in_rounds, show
from chassis.consuming.reading import Reader
from chassis.consuming.tracking import Place
from chassis.delivery import project
from chassis.rebuilding.rebuild import rebuild
from chassis.rebuilding.topics import rarely_collected
from chassis.rebuilding.trusted import trusted
from chassis.running.service import Service
from chassis.sql import Statement
from chassis.storage.migrate import migrate
from chassis.store import Recorded
from deal_svc import projections
from ops.testing import a_database, own_backends
from prm_contracts.deals import DEALS
from prm_contracts.facts import Fact, Topic, decode

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


class Rebuilt(NamedTuple):
    """Facts a second: folded, and all in all; the most that its process held, in MiB of PSS."""

    fold: float
    whole: float
    memory: float


def rebuilt(
    case: Case,
    count: int,
    dsn: str,
    bootstrap: str,
    tell: Callable[[str], None],
    *,
    is_first: bool = False,
) -> Rebuilt:
    """`is_first`: the table in use is empty. Raises Differs."""
    watched, cpu = Watched(tell, count), time.process_time()
    asyncio.run(
        rebuild(
            case.service,
            case.table,
            dsn=dsn,
            bootstrap=bootstrap,
            accepts_differences=is_first,
            tell=watched,
        )
    )
    took = time.perf_counter() - watched.began_at
    held = ", ".join(f"{each} %: {mib:.0f} MiB" for each, mib in sorted(watched.memory.items()))
    cpu = 1e6 * (time.process_time() - cpu) / count
    tell(f"{case.name}: {count / took:,.0f}/s, {cpu:.1f} us of its CPU a fact, PSS at {held}")
    return Rebuilt(count / watched.folded_after, count / took, max(watched.memory.values()))


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
        fill(dsn, bootstrap, case.topic, stored(case.facts, count))
        asyncio.run(track(dsn, bootstrap, case.table, case.topic))
        tell(f"{case.name}: {count:,} facts lie on the topic")
        rebuilt(case, count, dsn, bootstrap, tell, is_first=True)
        rows = rows_of(case, dsn)
        runs: dict[str, Callable[[], Any]] = {
            "rebuild": lambda: rebuilt(case, count, dsn, bootstrap, tell),
            "projected": lambda: projected(case, count, bootstrap, tell),
            "copy": lambda: copied(case, count, dsn, rows),
        }
        found = in_rounds(ROUNDS, runs)
    bench, unit = f"rebuild of {case.name}", "facts/s"
    folds, wholes, _ = zip(*found["rebuild"], strict=True)
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
