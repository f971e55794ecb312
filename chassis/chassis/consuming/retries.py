"""Parked facts, tried again when their time has come, and with them those that wait behind."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from chassis.consuming import parking, tracking
from chassis.consuming.intake import House, Intake, failed_by, is_passing
from chassis.consuming.parking import Fate, Head, Parked
from chassis.consuming.records import read_envelope
from chassis.consuming.sessions import Sessions
from chassis.consuming.tracking import Track
from chassis.consuming.windows import How
from chassis.storage.window import AlreadyDone, Clash, lock_append
from chassis.telemetry.at_work import at_work_on
from prm_contracts.facts import UnknownFact, current_type


class Retries:
    """`is_holding`: whether one waited, at the last look, for what it is based on."""

    is_holding = False

    def __init__(self, house: House, sessions: Sessions) -> None:
        self._house, self._sessions = house, sessions
        self._subscribers = {each.name: each for each in house.subscribers}
        self._done: frozenset[UUID] = frozenset()

    async def retry_due(self) -> int:
        """The heads that are due, and what waits behind them. Answers how many were.

        Raises psycopg's errors.
        """
        heads = await parking.heads(await self._sessions.notes())
        self.is_holding = any(head.kind == "held" for head in heads)
        tried = 0
        for head in heads:
            if await self._is_due(head):
                await parking.begin_retry(await self._sessions.notes(), head, self._house.timing)
                await self._retry(head, How())
                self._house.sight.metrics.retries.inc()
                tried += 1
        return tried

    async def _is_due(self, head: Head) -> bool:
        if head.state != "waiting" or head.subscriber not in self._subscribers:
            return False
        if head.is_trying:
            return head.is_due
        if head.kind == "held":
            is_over = head.held_until is not None and head.held_until <= self._house.now()
            return is_over or await self._is_based(head)
        if head.kind == "unknown":
            return _is_known(head.type)
        return head.is_due or head.kind == "behind"

    async def _is_based(self, head: Head) -> bool:
        notes = await self._sessions.notes()
        versions: dict[str, list[tuple[UUID, int]]] = defaultdict(list)
        for basis in head.bases():
            for subscriber in self._house.on(basis.topic):
                versions[subscriber.name].append((basis.aggregate_id, basis.version))
        for name, wanted in versions.items():
            if not await tracking.has_seen(notes, name, wanted):
                return False
        return True

    async def _retry(self, head: Head, how: How) -> None:
        try:
            await self._retry_once(head, how)
        except AlreadyDone as known:
            self._done |= set(known.command_ids)
            await self._retry(head, how)
        except Clash:
            await self._retry(head, replace(how, has_clashed=True, is_locked=how.has_clashed))
        except Exception as fault:
            if is_passing(fault) or how.doomed:
                raise
            await self._retry(head, replace(how, doomed=failed_by(fault)))

    async def _retry_once(self, head: Head, how: How) -> None:
        async with self._sessions.transaction() as connection:
            if how.is_locked:
                await lock_append(connection)
            # Whoever takes records of this partition meanwhile might park behind what leaves here.
            track = Track(head.subscriber, head.topic, head.partition)
            await tracking.lock(connection, [track], lambda: None)
            waiting = await parking.load(connection, head)
            intake = Intake(self._house, connection, is_careful=True, done=self._done)
            await self._release(intake, head, waiting, how.doomed)
            await intake.append_and_commit()

    async def _release(
        self, intake: Intake, head: Head, waiting: Sequence[Parked], doomed: Fate | None
    ) -> None:
        connection, now = intake.window.connection, self._house.now()
        subscriber = self._subscribers[head.subscriber]
        envelopes = [read_envelope(each.record) for each in waiting]
        known = intake.ask(envelopes)
        await connection.round()
        intake.know(known)
        await intake.look_for_done(envelopes)
        released: list[int] = []
        for each, envelope in zip(waiting, envelopes, strict=True):
            enough = each.held_until is not None and each.held_until <= now
            with at_work_on(envelope.told):
                fate = doomed or await intake.attempt(subscriber, envelope, is_held_enough=enough)
            if fate is not None:
                # A retry was counted when it began.
                tried = each.attempts - (each.id == head.id)
                await parking.park_again(
                    connection, replace(each, attempts=tried), fate, self._house.timing, now
                )
                break
            released.append(each.id)
        await parking.release(connection, released)
        intake.write({})


def _is_known(fact_type: str) -> bool:
    try:
        current_type(fact_type)
    except UnknownFact:
        return False
    return True
