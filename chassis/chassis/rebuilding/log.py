"""A read model that a trigger keeps with the append, filled from the events of the store."""

from collections.abc import Callable
from typing import Any, LiteralString

from psycopg import Connection, sql

from chassis.delivery import KeptWithAppend
from chassis.rebuilding.source import RebuildRefused, Taken

AT_ONCE = 5000  # facts a transaction

HEAD: LiteralString = "SELECT coalesce(max(position), 0) FROM public.events"
FUNCTION: LiteralString = """
SELECT tgfoid::regprocedure::text FROM pg_trigger
WHERE tgrelid = 'public.events'::regclass AND tgname = %s"""
# The trigger's own function: it names its tables without their schema.
AGAIN: LiteralString = """
CREATE TRIGGER again AFTER INSERT ON pg_temp.appended_again REFERENCING NEW TABLE AS appended
FOR EACH STATEMENT EXECUTE FUNCTION {}"""
APPEND: LiteralString = """
INSERT INTO pg_temp.appended_again
SELECT * FROM public.events WHERE position > %s AND position <= %s ORDER BY position"""


class NoSuchTrigger(RebuildRefused):
    """The store has no trigger of the name that the service gives."""


class FromLog:
    """A Source. While it holds the live ones, commands wait."""

    def __init__(self, connection: Connection[Any], kept: KeptWithAppend) -> None:
        self._connection, self._kept = connection, kept
        self.tables = kept.tables
        self._at = self._until = 0

    def begin(self) -> None:
        execute = self._connection.execute
        found = execute(FUNCTION, (self._kept.trigger,)).fetchone()
        if found is None:
            raise NoSuchTrigger(self._kept.trigger)
        execute("CREATE TEMPORARY TABLE appended_again (LIKE public.events)")
        execute(sql.SQL(AGAIN).format(sql.SQL(found[0])))
        if self._kept.first_rows:
            execute(self._kept.first_rows)

    @property
    def left(self) -> int:
        return self._until - self._at

    async def look(self) -> None:
        [(self._until,)] = self._connection.execute(HEAD).fetchall()

    def hold(self) -> None:
        self._connection.execute("SELECT lock_append()")
        [(self._until,)] = self._connection.execute(HEAD).fetchall()

    async def fold(self, taken: Taken) -> None:
        while self._at < self._until:
            until = min(self._at + AT_ONCE, self._until)
            with self._connection.transaction():
                self._connection.execute(APPEND, (self._at, until))
                self._connection.execute("TRUNCATE pg_temp.appended_again")
            taken(until - self._at)
            self._at = until

    def mark(self) -> Callable[[], None]:
        before = self._at

        def set_back() -> None:
            self._at = before

        return set_back

    def disagreements(self) -> list[str]:
        return []

    def put_right(self) -> None:
        """Nothing is tracked."""

    async def close(self) -> None:
        """Nothing is open but the connection."""
