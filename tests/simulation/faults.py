"""Faults to plant: what this house must never do, so that the simulation is seen to find it."""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid5

import chassis.consuming.subscribers
from chassis.consuming.committer import Committer
from chassis.consuming.intake import Intake
from chassis.consuming.outbound import END, Run
from chassis.consuming.tracking import Place, Track
from chassis.consuming.windows import Windows
from chassis.publishing.producing import Batches
from chassis.publishing.relay import Relay
from chassis.storage.event_store import PostgresEventStore
from chassis.storage.writer import Writer
from deal_svc.domain.deal import Deal
from partner_svc.domain.contact import Contact
from partner_svc.domain.reservation import Reservation
from prm_contracts.deals import DealExpired
from prm_contracts.partners import InvitationExpired

from . import broker, delivery_model, platform, store_model

IDS = itertools.count(10**9)
Fault = Callable[[], Any]
FAULTS: dict[str, Fault] = {}


def fault(name: str) -> Callable[[Callable[[], Iterator[None]]], Fault]:
    def keep(planted: Callable[[], Iterator[None]]) -> Fault:
        FAULTS[name] = contextmanager(planted)
        return FAULTS[name]

    return keep


@fault("append does not look at versions")
def _unchecked_versions() -> Iterator[None]:
    with patch.object(store_model, "LOOKS_AT_VERSIONS", new=False):
        yield


@fault("a command is answered before it is durable")
def _answered_early() -> Iterator[None]:
    append = Writer.append

    async def answered(self: Writer, command: Any) -> None:
        self.late = asyncio.create_task(append(self, command))  # type: ignore[attr-defined]

    with patch.object(Writer, "append", answered):
        yield


@fault("a repeat is decided anew")
def _no_first_outcome() -> Iterator[None]:
    async def nothing(self: PostgresEventStore, ctx: Any) -> None:
        return None

    with patch.object(PostgresEventStore, "first_outcome", nothing):
        yield


@fault("tracking is committed before the effect")
def _tracking_apart() -> Iterator[None]:
    append_and_commit = Intake.append_and_commit

    async def apart(self: Intake) -> None:
        await self.window.connection.commit()
        await append_and_commit(self)

    with patch.object(Intake, "append_and_commit", apart):
        yield


@fault("acknowledged before the effect")
def _acknowledged_early() -> Iterator[None]:
    commit = Committer.commit

    async def at_once(self: Committer, records: Any) -> None:
        self.late = asyncio.create_task(commit(self, records))  # type: ignore[attr-defined]

    with patch.object(Committer, "commit", at_once):
        yield


def begins_at(first: Callable[[int, int], int]) -> Any:
    """`first`: the offset that counts as the last taken, of what is tracked and handed over."""
    offer_all = Windows._offer_all

    async def offered(
        self: Windows, intake: Any, records: Any, offsets: dict[Track, int], how: Any
    ) -> None:
        handed = {Place(each.topic, each.partition): each.offset for each, _ in reversed(records)}
        for track, last in offsets.items():
            offsets[track] = first(last, handed[track.place] - 1)
        await offer_all(self, intake, records, offsets, how)

    return patch.object(Windows, "_offer_all", offered)


@fault("acknowledged before the effect, and holes are passed over")
def _holes_passed_over() -> Iterator[None]:
    with _acknowledged_early(), begins_at(max):
        yield


@fault("a rebalance goes on from what was acknowledged")
def _without_tracking() -> Iterator[None]:
    with begins_at(lambda tracked, handed: handed):
        yield


@fault("two workers take a partition at once")
def _unlocked_tracking() -> Iterator[None]:
    with patch.object(delivery_model, "LOCKS_TRACKING", new=False):
        yield


@fault("a policy's command has a random id")
def _random_ids() -> Iterator[None]:
    def random(namespace: UUID, name: str) -> UUID:
        return UUID(int=next(IDS)) if "-" in name and ":" not in name else uuid5(namespace, name)

    with patch.object(chassis.consuming.subscribers, "uuid5", random):
        yield


@fault("a relay goes on from the head of the store")
def _from_memory() -> Iterator[None]:
    look = Relay._look

    async def at_the_head(self: Relay, connection: Any) -> int:
        await look(self, connection)
        move = "UPDATE relay SET position = %s WHERE position = %s"
        await connection.execute(move, (self.head, self.published))
        self.published = self.head
        return self.head

    with patch.object(Relay, "_look", at_the_head):
        yield


@fault("a relay does not wait for acknowledgements")
def _unacknowledged() -> Iterator[None]:
    async def sent(self: Batches) -> None:
        for place in [*self._filling]:
            await self._send(place)

    with patch.object(Batches, "sent", sent):
        yield


@fault("the producer is not idempotent")
def _not_idempotent() -> Iterator[None]:
    with patch.object(broker.Producer, "is_idempotent", new=False):
        yield


@fault("every relay leads")
def _two_leaders() -> Iterator[None]:
    async def elected(self: Relay, connection: Any) -> bool:
        return True

    with patch.object(Relay, "_is_elected", elected):
        yield


@fault("an errand ends before its outcome is recorded")
def _errand_apart() -> Iterator[None]:
    record = Run._record_on

    async def apart(self: Run, batch: Any, connection: Any, **how: Any) -> None:
        for each in batch:
            await connection.execute(END, self._row(each.held.errand))
        await connection.commit()
        await record(self, batch, connection, **how)

    with patch.object(Run, "_record_on", apart):
        yield


@fault("a deal expires whatever became of it")
def _expires_anyway() -> Iterator[None]:
    def expire(self: Deal, due_at: datetime) -> None:
        self.record(DealExpired(due_at=due_at))

    with patch.object(Deal, "expire", expire):
        yield


@fault("an invitation lapses whatever became of it")
def _lapses_anyway() -> Iterator[None]:
    def lapse(self: Contact, due_at: datetime) -> None:
        self.record(InvitationExpired(due_at=due_at))

    with patch.object(Contact, "expire_invitation", lapse):
        yield


@fault("nobody looks when an invitation lapses")
def _never_lapses() -> Iterator[None]:
    with idle("partner-svc", "deadlines", "expire-invitation"):
        yield


@fault("who is gone keeps the own keys")
def _keys_kept() -> Iterator[None]:
    with patch.object(Reservation, "release", lambda *_: None):
        yield


def idle(service: str, table: str, key: str) -> Any:
    """It takes its facts and does nothing: one that were taken away would be seen to be behind."""

    async def nothing(*_: Any) -> None:
        pass

    whole: Any = platform.SERVICES[service]
    rules = [replace(it, then=nothing) if it.key == key else it for it in getattr(whole, table)]
    assert rules != list(getattr(whole, table)), key
    return patch.dict(platform.SERVICES, {service: replace(whole, **{table: tuple(rules)})})


@fault("nobody looks again when a deal is queued behind nobody")
def _not_promoted() -> Iterator[None]:
    with idle("deal-svc", "policies", "promote-queued-at-head"):
        yield


@fault("a check that crossed with a new map is not repeated")
def _not_repeated() -> Iterator[None]:
    with idle("territory-svc", "policies", "recheck-outdated-subject"):
        yield


@fault("what was answered while a partner was on hold is not asked again")
def _not_asked_again() -> Iterator[None]:
    with idle("deal-svc", "policies", "recheck-reinstated"):
        yield
