"""A read model of orders with all that a table can have, to be rebuilt; a process that does so.

Run as a module it rebuilds and dies: `python listings.py '<Setup as JSON>' <method>`, at the end of
that method of those that a rebuild is made of.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from chassis.consuming.worker import Worker
from chassis.delivery import KeptWithAppend, project
from chassis.rebuilding import rebuild as rebuilding
from chassis.rebuilding.folding import Folding
from chassis.rebuilding.rebuild import Verdict
from chassis.rebuilding.shadow import Shadow
from chassis.sql import Statement
from chassis.store import Recorded
from chassis.testing import reader_of

from .reactions import Ordered, Sample, Setup

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


STEPS: dict[str, type[Any]] = {
    "make": Shadow,
    "apply": Folding,
    "compare": Shadow,
    "put_in_place": Shadow,
}


def dies_after(step: str) -> None:
    method = getattr(STEPS[step], step)

    def fatal(*arguments: Any) -> None:
        method(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(STEPS[step], step, fatal)


if __name__ == "__main__":
    dies_after(sys.argv[2])
    asyncio.run(Listing(Setup(*json.loads(sys.argv[1]))).rebuild())
