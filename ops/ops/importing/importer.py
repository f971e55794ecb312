"""One run over a file: rows are checked, told to the service several at once, and accounted for."""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path

import httpx2

from ops.client import Client
from ops.failures import OpsError
from ops.importing.checks import Checks
from ops.importing.journal import Journal, Lines
from ops.importing.kinds import Kind, digest
from ops.importing.rows import Row, RowError, about_how_many, rows_of
from ops.importing.sending import Sending

WIDTH = 8  # rows under way at once
SAID_EVERY = 5.0  # seconds
SHOWN_ERRORS = 20
CHANGED = (
    "It was imported before, and said something else then: change what there is with the commands"
    " of the API"
)
Outcome = str | list[RowError]  # the id, or why not


@dataclass
class Count:
    """Rows: `done` by this run, or fit to be, if it is dry; `before`: done by an earlier one."""

    done: int = 0
    before: int = 0
    refused: int = 0

    @property
    def all(self) -> int:
        return self.done + self.before + self.refused


@dataclass(frozen=True)
class Importer:
    """`person` tells, `approver` approves what needs a second person: both of operations."""

    client: Client
    kind: Kind
    file: Path
    person: str
    approver: str | None
    say: Callable[[str], None]

    def run(self, *, is_dry: bool) -> Count:
        """Raises FileUnreadable, and OpsError where the import as a whole cannot go on."""
        limits = httpx2.Limits(max_connections=WIDTH, max_keepalive_connections=WIDTH)
        refused = self.file.with_name(f"{self.file.name}.errors.jsonl")
        refused.unlink(missing_ok=True)
        with (
            httpx2.Client(timeout=30, trust_env=False, limits=limits) as http,
            closing(Journal(self.file, self.kind)) as journal,
            closing(Lines(refused)) as errors,
        ):
            sending = Sending(self.client, http, self.kind)
            schema = self.kind.schema(sending.openapi(self.person))
            rows = rows_of(self.file, schema)
            known = self._known(sending, journal)
            checks = Checks(self.kind, schema, known, has_approver=self.approver is not None)
            total = about_how_many(self.file) - (self.file.suffix == ".csv")
            run = Run(self, sending, checks, journal, errors, total)
            return run.dry(rows) if is_dry else run.over(rows)

    def _known(self, sending: Sending, journal: Journal) -> dict[str, str]:
        """Raises OpsError, if what the journal says is done is not there."""
        refers = self.kind.refers
        if not journal.done and not refers:
            return {}
        for service in dict.fromkeys([*([refers.service] if refers else ()), self.kind.service]):
            sending.wait_until_read(service)
        *_, last = [each.id for each in journal.done.values()] or [""]
        if last and not sending.is_there(last, self.person):
            raise OpsError(
                f"{journal.path} is of another platform: {last}, which it says is done, is not"
                " here. Move it away and import again: nothing is done twice."
            )
        return sending.known(refers, self.person) if refers else {}


@dataclass
class Run:
    """`total`: about how many rows there are."""

    asked: Importer
    sending: Sending
    checks: Checks
    journal: Journal
    errors: Lines
    total: int
    count: Count = field(default_factory=Count)
    shown: int = 0
    began_at: float = field(default_factory=time.monotonic)
    said_at: float = field(default_factory=time.monotonic)

    def dry(self, rows: Iterable[Row | RowError]) -> Count:
        for row in rows:
            self.count.done += self._to_do(row) is not None
            self._progress()
        return self.count

    def over(self, rows: Iterable[Row | RowError]) -> Count:
        under_way: dict[Future[Outcome], Row] = {}
        with ThreadPoolExecutor(WIDTH) as pool, closing(self.sending):
            for each in rows:
                if row := self._to_do(each):
                    under_way[pool.submit(self._tell, row)] = row
                if len(under_way) >= 2 * WIDTH:
                    self._take(under_way)
                self._progress()
            while under_way:
                self._take(under_way)
                self._progress()
        return self.count

    def _to_do(self, row: Row | RowError) -> Row | None:
        """None: it cannot be done, or was before."""
        wrong = [row] if isinstance(row, RowError) else self.checks.wrong_with(row)
        if wrong or isinstance(row, RowError):
            self._refuse(wrong)
            return None
        done = self.journal.done.get(self.asked.kind.known_as(row.document))
        if done is None:
            return row
        if done.digest == digest(row.document):
            self.count.before += 1
        else:
            self._refuse([RowError(row.line, "", CHANGED)])
        return None

    def _tell(self, row: Row) -> Outcome:
        """In a thread of its own."""
        kind, document = self.asked.kind, row.document
        first = kind.first(document, kind.body(document), self.checks.references(document))
        answer = self.sending.told(row, first, self.asked.person)
        if isinstance(answer, list):
            return answer
        new_id = str(answer.get("product_id", answer["id"]))
        for follows in kind.then(document, new_id):
            person = self.asked.approver if follows.asked_by else self.asked.person
            seen = answer["version"] if follows.sees else None
            told = self.sending.told(row, follows, str(person), seen)
            if isinstance(told, dict):
                answer = told
            elif not follows.over_if or told[0].type != follows.over_if:
                return told
        return new_id

    def _take(self, under_way: dict[Future[Outcome], Row]) -> None:
        for ended in wait(under_way, return_when=FIRST_COMPLETED).done:
            row, outcome = under_way.pop(ended), ended.result()
            if isinstance(outcome, str):
                self.journal.tell(row.document, outcome)
                self.count.done += 1
            else:
                self._refuse(outcome)

    def _refuse(self, errors: list[RowError]) -> None:
        self.count.refused += 1
        for each in errors:
            self.errors.add(asdict(each))
            self.shown += 1
            if self.shown <= SHOWN_ERRORS:
                self.asked.say(f"line {each.line} {each.pointer or '/'}: {each.message}")
            elif self.shown == SHOWN_ERRORS + 1:
                self.asked.say(f"... and more: all are in {self.errors.path}")

    def _progress(self) -> None:
        now = time.monotonic()
        if now >= self.said_at + SAID_EVERY:
            self.said_at = now
            self.asked.say(progress(self.count, self.total, now - self.began_at))


def progress(count: Count, total: int, seconds: float) -> str:
    """The time left is that of rows which are told, not of those that were before."""
    rate = (count.done + count.refused) / seconds
    left = f", {max(total - count.all, 0) / rate:,.0f} s left" if rate else ""
    return f"{count.all:,} of {total:,} rows, {count.refused:,} refused, {rate:,.0f}/s{left}"
