"""A read model of orders with all that a table can have, to be rebuilt; a process that does so.

Run as a module it rebuilds and dies: `python listings.py '<Setup as JSON>' <model> <step>`.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from chassis.consuming.worker import Worker
from chassis.context import Context
from chassis.delivery import KeptWithAppend, project
from chassis.rebuilding import rebuild as rebuilding
from chassis.rebuilding.folding import Folding
from chassis.rebuilding.rebuild import Verdict
from chassis.rebuilding.shadow import Shadow
from chassis.rebuilding.topics import FromTopics
from chassis.rebuilding.waves import Waves
from chassis.sql import Statement
from chassis.store import Recorded, Saved, Store
from chassis.testing import reader_of

from .reactions import Ordered, Sample, Setup, Stranger, Tally, running, until

TABLES = """
CREATE TABLE order_list (
    order_id uuid PRIMARY KEY,
    version integer NOT NULL,
    owner uuid NOT NULL,
    sort_key text NOT NULL,
    document jsonb NOT NULL,
    note text NOT NULL GENERATED ALWAYS AS (document ->> 'note') STORED CHECK (note <> 'refused'),
    UNIQUE (sort_key)
);
CREATE INDEX order_list_by_note ON order_list (note, sort_key) WHERE note <> 'nobody''s';
CREATE UNIQUE INDEX order_list_apart ON order_list ((document -> 'id'));
ALTER TABLE order_list ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON order_list FOR SELECT USING (asker_is_vendor() OR owner = asker_tenant());

CREATE TABLE tallied (tally_id uuid PRIMARY KEY, facts integer NOT NULL);
CREATE TABLE all_tallied (facts integer NOT NULL);
INSERT INTO all_tallied VALUES (0);
CREATE FUNCTION keep_tallied() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tallied SELECT aggregate_id, count(*) FROM appended GROUP BY 1
    ON CONFLICT (tally_id) DO UPDATE SET facts = tallied.facts + excluded.facts;
    UPDATE all_tallied SET facts = facts + (SELECT count(*) FROM appended);
    RETURN NULL;
END $$;
CREATE TRIGGER keep_tallied AFTER INSERT ON events REFERENCING NEW TABLE AS appended
    FOR EACH STATEMENT EXECUTE FUNCTION keep_tallied()"""

COUNTS = "SELECT count(*), bool_and((document ->> 'count')::int = version) FROM order_list"

# All that makes a table what it is, but for its number in the catalogue.
MADE_OF = """
SELECT 'column', to_jsonb(c) FROM information_schema.columns c WHERE table_name = 'order_list'
UNION ALL SELECT 'index', to_jsonb(i) FROM pg_indexes i WHERE tablename = 'order_list'
UNION ALL SELECT 'policy', to_jsonb(p) FROM pg_policies p WHERE tablename = 'order_list'
UNION ALL SELECT 'constraint', to_jsonb(ARRAY[conname, pg_get_constraintdef(oid)])
    FROM pg_constraint WHERE conrelid = 'order_list'::regclass
UNION ALL SELECT 'table', to_jsonb(ARRAY[relacl::text, relowner::text, relrowsecurity::text,
    relpersistence::text, reloptions::text]) FROM pg_class WHERE relname = 'order_list'
ORDER BY 1, 2"""


def order_list(recorded: Recorded[Any]) -> Statement | None:
    """`count`: of the facts that had effect; it differs from the version where one had it twice."""
    note, key = recorded.fact.note, {"id": recorded.aggregate_id, "version": recorded.version}
    if note == "silent":
        return None
    if note == "fails":
        raise ValueError("no row for that")
    if note == "gone":
        return Statement("DELETE FROM order_list WHERE order_id = %(id)s", key)
    document = json.dumps({"id": str(recorded.aggregate_id), "note": note, "count": 1})
    return Statement(
        "INSERT INTO order_list (order_id, version, owner, sort_key, document)"
        " VALUES (%(id)s, %(version)s, %(owner)s, %(sort_key)s, %(document)s::jsonb)"
        " ON CONFLICT (order_id) DO UPDATE SET version = excluded.version, document ="
        " excluded.document || jsonb_build_object('count', (order_list.document -> 'count')::int"
        " + %(step)s, '100%%', true)",
        key
        | {
            "owner": recorded.actor_id,
            "sort_key": str(recorded.aggregate_id),
            "document": document,
            "step": 1,
        },
    )


class Listings(Sample):
    """`sample-<run>` again, with one read model of orders and one that is kept with the append."""

    def __init__(self, run: str) -> None:
        super().__init__(run)
        self.policies = self.deadlines = self.outbound = ()
        self.projections = (project(self.orders, order_list),)
        self.kept_with_append = (
            KeptWithAppend(
                "tallied",
                ("tallied", "all_tallied"),
                trigger="keep_tallied",
                first_rows="INSERT INTO all_tallied VALUES (0)",
            ),
        )


class Listing:
    """A deployment of it. `told`: what rebuilds said."""

    def __init__(self, setup: Setup) -> None:
        self.setup, self.dsn = setup, setup.dsn
        self.service = Listings(setup.run)
        self.told: list[str] = []
        self.meanwhile: str | None = None  # a statement, once the facts are folded the first time

    def prepare(self) -> None:
        """`reader`: as the role that people's questions are asked by."""
        with psycopg.connect(self.dsn) as owner:
            owner.execute(TABLES)
        self.reader = reader_of(self.dsn)
        with psycopg.connect(self.dsn) as owner:
            role = sql.Identifier(f"{conninfo_to_dict(self.dsn)['dbname']}_reader")
            owner.execute(sql.SQL("GRANT UPDATE ON order_list TO {}").format(role))

    def worker(self) -> Worker:
        setup = self.setup
        return Worker(self.service, dsn=setup.dsn, bootstrap=setup.bootstrap, clock=setup.clock)

    async def rebuild(self, name: str = "order_list", *, accepts: bool = False) -> Verdict:
        return await rebuilding.rebuild(
            self.service,
            name,
            dsn=self.dsn,
            bootstrap=self.setup.bootstrap,
            accepts_differences=accepts,
            tell=self.hear,
        )

    def hear(self, line: str) -> None:
        self.told.append(line)
        if line.endswith(": indexes") and self.meanwhile:
            self.run(self.meanwhile)

    async def verify(self, name: str = "order_list") -> Verdict:
        return await rebuilding.verify(
            self.service, name, dsn=self.dsn, bootstrap=self.setup.bootstrap, tell=self.told.append
        )

    def rows(self, query: str) -> list[Any]:
        with psycopg.connect(self.dsn) as connection:
            return connection.execute(query.encode()).fetchall()

    def run(self, statement: str) -> None:
        with psycopg.connect(self.dsn) as connection:
            connection.execute(statement.encode())

    def made_of(self) -> list[Any]:
        return self.rows(MADE_OF)

    def tracked(self) -> int:
        return int(self.rows('SELECT coalesce(sum("offset" + 1), 0) FROM tracking')[0][0])

    def leftovers(self) -> list[Any]:
        return self.rows("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'rebuild%'")


@contextmanager
def asked_by(reader: str, side: str, tenant: str = "") -> Iterator[psycopg.Connection[Any]]:
    """What somebody may see."""
    with psycopg.connect(reader, autocommit=True) as connection:
        connection.execute("SELECT set_config('prm.asker_side', %s, false)", (side,))
        connection.execute("SELECT set_config('prm.asker_tenant', %s, false)", (tenant,))
        yield connection


def ordered(count: int, note: str = "new") -> list[Ordered]:
    return [Ordered(note=note) for _ in range(count)]


async def tally_twice(store: Store, ctx: Context) -> Saved:
    tally = Tally(ctx.new_id("tally"))
    tally.tally(uuid4(), "one")
    tally.tally(uuid4(), "two")
    return await store.save(ctx, tally)


def anything(*_: Any, **__: Any) -> bool:
    return True


def for_readers(*_: Any, unique: bool) -> bool:
    """Not those that the fill relies on."""
    return not unique


def drops_a_table(_: Shadow, statement: str, *__: Any) -> bool:
    return statement.startswith("DROP TABLE")


# By the name of a step: whose method it is, whether death comes before or after it, and at which
# of its calls. From the empty tables beside to the new ones in place.
STEPS: dict[str, tuple[type[Any], str, str, Callable[..., bool]]] = {
    "before the fill": (Shadow, "make", "after", anything),
    "in the middle of the fill": (Folding, "apply", "before", anything),
    "between effect and commit of the fill": (Waves, "_take", "after", anything),
    "once facts are folded": (Folding, "apply", "after", anything),
    "before the indexes": (Shadow, "finish", "before", anything),
    "between indexes and statistics": (Shadow, "_index", "after", for_readers),
    "once it is compared": (Shadow, "compare", "after", anything),
    "while it holds the live delivery": (FromTopics, "hold", "after", anything),
    "between the old table and the new one": (Shadow, "_run", "after", drops_a_table),
    "between swap and commit": (Shadow, "put_in_place", "after", anything),
    "once it is swapped": (rebuilding.Filling, "swap", "after", anything),
}
OF_TOPICS = {
    "in the middle of the fill",
    "between effect and commit of the fill",
    "once facts are folded",
    "while it holds the live delivery",
}


def dies_at(step: str) -> None:
    """From now on this process ends when it comes there."""
    owner, name, when, at = STEPS[step]
    wrapped = getattr(owner, name)

    def death(*given: Any, **named: Any) -> None:
        if at(*given, **named):
            os.kill(os.getpid(), signal.SIGKILL)

    def dying(*given: Any, **named: Any) -> Any:
        if when == "before":
            death(*given, **named)
        answer = wrapped(*given, **named)
        if when == "after":
            death(*given, **named)
        return answer

    async def dying_later(*given: Any, **named: Any) -> Any:
        answer = await wrapped(*given, **named)
        death(*given, **named)
        return answer

    setattr(owner, name, dying_later if iscoroutinefunction(wrapped) else dying)


async def died_at(listing: Listing, step: str, name: str = "order_list") -> int:
    """The exit code of a rebuild in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import runpy; runpy.run_module('tests.listings', run_name='__main__', alter_sys=True)",
        *(listing.setup.as_json(), name, step),
        cwd=Path(__file__).parents[1],
    )
    return await asyncio.wait_for(process.wait(), 90)


async def levelled(listing: Listing, facts: int) -> None:
    """The live worker takes that many in all, and ends."""
    async with running(listing.worker()):
        await until(lambda: listing.tracked() == facts)


@asynccontextmanager
async def under_load(orders: Stranger) -> AsyncIterator[list[UUID]]:
    """Facts come all the time, of new orders and of old ones; their ids."""
    ids = [uuid4() for _ in range(20)]
    is_over = asyncio.Event()

    async def speak() -> None:
        while not is_over.is_set():
            ids.append(uuid4())
            await orders.send(*(orders.row(order, Ordered(note="new")) for order in ids[-10:]))

    speaking = asyncio.create_task(speak())
    try:
        yield ids
    finally:
        is_over.set()
        await speaking


@asynccontextmanager
async def counting(listing: Listing) -> AsyncIterator[list[int]]:
    """How many orders somebody sees who asks all the time."""
    seen = list[int]()
    is_over = asyncio.Event()

    async def look() -> None:
        with asked_by(listing.reader, "vendor") as reader:
            while not is_over.is_set():
                seen.append(reader.execute("SELECT count(*) FROM order_list").fetchall()[0][0])
                await asyncio.sleep(0)

    looking = asyncio.create_task(look())
    try:
        yield seen
    finally:
        is_over.set()
        await looking


if __name__ == "__main__":
    dies_at(sys.argv[3])
    asyncio.run(Listing(Setup(*json.loads(sys.argv[1]))).rebuild(sys.argv[2]))
