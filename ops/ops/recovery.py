"""A service's store against its topics, on this platform: compared, or brought forward."""

from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import psycopg
from aiokafka.errors import KafkaError
from psycopg import sql

from chassis.recovery.differences import KINDS, MEANING, Difference
from chassis.recovery.letters import LettersVerified
from chassis.recovery.log import TopicMissing
from chassis.recovery.restoring import Refused, Restored, StillRunning
from chassis.recovery.resuming import Resumed
from chassis.recovery.runs import Addresses, restore, verify
from chassis.recovery.verifying import Verified
from chassis.running.admin import owned
from ops.admin import database_of
from ops.apart import apart
from ops.failures import OpsError
from ops.platform import Platform
from ops.progress import Progress
from prm_contracts.catalogue import topics_of

AWAY = (psycopg.Error, KafkaError, OSError, TimeoutError)


class LogVerified:
    """What was found in one service's log."""

    def __init__(self, service: str, store: Verified, letters: LettersVerified) -> None:
        self.service, self.store, self.letters = service, store, letters

    @property
    def is_healthy(self) -> bool:
        return not self.store.findings.counts

    def as_document(self) -> dict[str, Any]:
        counts = {key: it for key, it in asdict(self.store).items() if key != "findings"}
        return {
            "service": self.service,
            "healthy": self.is_healthy,
            **counts,
            "letters": asdict(self.letters),
            "differences": dict(self.store.findings.counts),
            "shown": [asdict(it) for it in self.store.findings.shown],
        }

    def lines(self) -> list[str]:
        it = self.store
        has = f"{it.facts:,} facts in the store, {it.records:,} records on its topics"
        passed = f"{it.repeats:,} repeats, {it.foreign:,} foreign records"
        missing = f"{it.unpublished:,} not published yet, {it.lost:,} known to be lost"
        counts = [
            f"{self.service}: {has}, {self.letters.copies:,} dead letters",
            f"  {passed}, {missing}",
        ]
        if self.is_healthy:
            return [*counts, "  store and topics agree"]
        for kind in KINDS:
            if number := it.findings.counts[kind]:
                counts.append(f"  {kind}, {number:,}: {MEANING[kind]}")
                counts += [f"    {_line(each)}" for each in it.findings.shown if each.kind == kind]
        return counts


def _line(found: Difference) -> str:
    where = [] if found.position is None else [f"position {found.position}"]
    where += [f"version {found.version} of {found.aggregate_id}"] if found.aggregate_id else []
    where += [found.where] if found.where else []
    return f"{', '.join(where) or '-'}: {found.what}"


def verify_log(platform: Platform, name: str) -> LogVerified:
    """Changes nothing; the service may run. Raises OpsError."""
    kafka, addresses = platform.state.kafka, platform.state.addresses.get(name)
    if kafka is None or addresses is None:
        raise OpsError(f"There is no {name} here, or it has never run: `prm up` starts all.")
    with _progress("facts") as progress:
        try:
            work = verify(addresses.database_dsn, kafka, name, topics_of(name), progress)
            return LogVerified(name, *apart(work))
        except (TopicMissing, *AWAY) as away:
            raise OpsError(f"{name} cannot be verified: {_said(away)}") from away


def put_aside(platform: Platform, name: str) -> str | None:
    """Gives the service's database another name, which is answered; None, if there is none."""
    database = database_of(platform.service(name))
    aside = f"{database}_{datetime.now(UTC):%Y%m%dt%H%M%S}"
    try:
        with psycopg.connect(str(platform.state.postgres), autocommit=True) as admin:
            if not admin.execute(
                "SELECT FROM pg_database WHERE datname = %s", (database,)
            ).rowcount:
                return None
            names = (sql.Identifier(database), sql.Identifier(aside))
            admin.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(*names))
    except psycopg.Error as failure:
        raise OpsError(f"{database} cannot be put aside: {_said(failure)}") from failure
    return aside


def restore_store(
    platform: Platform, name: str, *, accept_loss: bool, rewind: timedelta, not_ours: Sequence[str]
) -> tuple[Restored, Resumed | None]:
    """The service does not run meanwhile. Raises OpsError; then its store is as it was before."""
    service = platform.service(name)
    at = Addresses(
        owned(str(platform.state.postgres), database_of(service)),
        platform.state.addresses[name].database_dsn,
        str(platform.state.kafka),
    )
    told: list[Progress] = []

    def progress(what: str) -> Progress:
        told.append(Progress(what))
        return told[-1]

    try:
        definition = import_module(f"{service.package}.main").SERVICE
        work = restore(
            at,
            definition,
            lambda: datetime.now(UTC),
            accept_loss=accept_loss,
            rewind=rewind,
            not_ours=frozenset(not_ours),
            progress=progress,
        )
        return apart(work)
    except (Refused, StillRunning) as refused:
        raise OpsError(f"The store of {name} is as it was. {refused}") from refused
    except (TopicMissing, *AWAY) as away:
        raise OpsError(
            f"{name} is not restored, run it again: {_said(away)}. Until then it refuses commands."
        ) from away
    finally:
        for each in told:
            each.end()


@contextmanager
def _progress(what: str) -> Any:
    progress = Progress(what)
    try:
        yield progress
    finally:
        progress.end()


def _said(failure: Exception) -> str:
    return f"{type(failure).__name__} {failure}".strip().splitlines()[0]


def lines_of(name: str, restored: Restored, resumed: Resumed | None) -> list[str]:
    """For the operator: what came, what did not, what is to be looked after."""
    passed = restored.passed
    lines = [
        f"{name}: {restored.facts:,} facts came back, positions {restored.before + 1:,} to"
        f" {restored.head:,}"
        if restored.facts
        else f"{name}: its store has all that its topics have, {restored.head:,} facts",
        f"  passed over: {passed.repeats:,} repeats or known ones, {passed.foreign:,} foreign",
    ]
    lines += [f"  not ours, or the store's far future: {each}" for each in restored.beyond]
    lines += [f"  lost: {each}" for each in restored.lost]
    if resumed is not None:
        lines.append(f"  read models, deadlines and errands have taken {resumed.facts:,} facts")
        if resumed.dead:
            lines.append(f"  {resumed.dead:,} letters were dead before: `prm dlq list`")
        if resumed.uncertain:
            what = "facts of policies' last hour caused nothing: none was due, or they waited"
            lines.append(f"  {resumed.uncertain:,} {what}; --rewind decides them again")
        if resumed.from_the_beginning:
            what = "partitions are read by policies from the beginning: the group had no offset"
            lines.append(f"  {resumed.from_the_beginning} {what}")
    return lines
