"""What a restored store's service goes on with: how far each subscriber is, what it had parked."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError

from chassis.consuming import tracking
from chassis.consuming.intake import House
from chassis.consuming.outbound import end_done
from chassis.consuming.parking import Fate, Timing
from chassis.consuming.records import Record, Untrustworthy, read_envelope
from chassis.consuming.sessions import Sessions
from chassis.consuming.subscribers import (
    POLICIES,
    Reactions,
    Subscriber,
    Taking,
    consumed,
    service_actor,
    subscribers_of,
)
from chassis.consuming.tracking import NOTHING, Place, Track
from chassis.consuming.windows import How, Windows
from chassis.publishing.topics import dead_letters_of
from chassis.recovery.letters import read_copy
from chassis.recovery.log import Log, places_of
from chassis.recovery.restoring import Progress
from chassis.storage.window import known_commands

# Twice as long as a fact that failed or is held waits for its turn at most.
UNCERTAIN = timedelta(hours=1)

COORDINATED_WITHIN = 30.0  # seconds, by a broker that has just begun

END: LiteralString = "UPDATE restorations SET ended_at = now() WHERE ended_at IS NULL"


@dataclass
class Resumed:
    """`facts`: taken by read models, deadlines and errands; `from_the_beginning`: partitions that
    policies read from their beginning, for the group had no offset there; `dead`: letters that were
    put back; `uncertain`: facts of the last hour that policies passed over and that caused nothing:
    nothing was to be done, or they waited to be tried again.
    """

    facts: int = 0
    from_the_beginning: int = 0
    dead: int = 0
    uncertain: int = 0


class Resumption:
    """While the service does not run. Goes on where an interrupted one ended.

    Policies take nothing here: they go on from what their consumer group has committed, `rewind`
    earlier. What had an effect has it only once; what had none is decided again, as of today.
    """

    def __init__(
        self,
        service: Reactions,
        dsn: str,
        bootstrap: str,
        now: Callable[[], datetime],
        rewind: timedelta = timedelta(0),
    ) -> None:
        self.result = Resumed()
        self._rewind = rewind
        self._service, self._bootstrap = service, bootstrap
        self._topics, self._now = consumed(service), now
        self._sessions = Sessions(dsn)
        subscribers = subscribers_of(service)
        self._policies = [each for each in subscribers if each.name == POLICIES]
        self._others = tuple(each for each in subscribers if each.name != POLICIES)

    async def run(self, progress: Progress = lambda *_: None) -> Resumed:
        """Raises TopicMissing, errors of psycopg, aiokafka, sockets."""
        try:
            for policies in self._policies:
                await self._pass_over(policies)
            await self._fill(progress)
            notes = await self._sessions.notes()
            await end_done(notes)
            await notes.execute("SET synchronous_commit = on")
            await notes.execute(END)
        finally:
            await self._sessions.close()
        return self.result

    def _windows(self, *subscribers: Subscriber) -> Windows:
        house = House(service_actor(self._service.name), self._now, subscribers, Timing())
        return Windows(house, self._sessions, self._topics)

    async def _tracked(self, subscribers: Sequence[Subscriber]) -> dict[Place, int]:
        """What the slowest of them has taken of each partition that any of them reads."""
        offsets = await tracking.offsets(await self._sessions.notes())
        read = {name for each in subscribers for name in each.topics}
        return {
            place: min(
                offsets.get(Track(each.name, *place), NOTHING)
                for each in subscribers
                if place.topic in each.topics
            )
            for place in places_of(self._topics[name] for name in sorted(read))
        }

    async def _fill(self, progress: Progress) -> None:
        """Read models, deadlines and errands, up to the ends."""
        if not self._others:
            return
        windows, tracked = self._windows(*self._others), await self._tracked(self._others)
        async with Log(self._bootstrap, list(tracked)) as log:
            for place, offset in tracked.items():
                log.seek(place, max(offset + 1, log.bounds[place][0]))
            for place in tracked:
                while records := await log.more(place):
                    await windows.settle(records)
                    self.result.facts += len(records)
                    progress(self.result.facts, log.size)

    async def _pass_over(self, policies: Subscriber) -> None:
        """What they have taken: noted as seen, and what was dead is parked again."""
        windows = self._windows(Subscriber(POLICIES, policies.topics, frozenset(), _nothing))
        tracked, dead = await self._tracked([policies]), await self._dead(policies)
        committed = await _committed(self._bootstrap, self._service.name, list(tracked))
        async with Log(self._bootstrap, list(tracked)) as log:
            for place, offset in tracked.items():
                if place not in committed:
                    self.result.from_the_beginning += log.bounds[place][1] > offset + 1
                    continue
                stop = await log.earlier(place, committed[place], self._rewind)
                uncertain = await log.earlier(place, committed[place], UNCERTAIN)
                log.seek(place, max(offset + 1, log.bounds[place][0]))
                while records := [it for it in await log.more(place) if it.offset < stop]:
                    await self._settle(windows, records, dead)
                    young = [it for it in records if it.offset >= uncertain]
                    self.result.uncertain += await self._without_effect(policies, young)

    async def _without_effect(self, policies: Subscriber, records: Sequence[Record]) -> int:
        """How many of these policies react to, and have not."""
        asked: dict[UUID, list[UUID]] = {}
        for record in records:
            with suppress(Untrustworthy):
                envelope = read_envelope(record, self._topics[record.topic].owner)
                if envelope.type in policies.handles:
                    asked[envelope.event_id] = policies.commands_of(envelope.event_id)
        notes = await self._sessions.notes()
        known = await known_commands(notes, [each for ids in asked.values() for each in ids])
        return sum(not known.intersection(ids) for ids in asked.values())

    async def _settle(
        self, windows: Windows, records: Sequence[Record], dead: dict[tuple[str, int, int], str]
    ) -> None:
        taken: list[Record] = []
        for record in records:
            if reason := dead.get((record.topic, record.partition, record.offset)):
                if taken:
                    await windows.settle(taken)
                fate = Fate("failed", reason, is_final=True)
                await windows.settle([record], How(is_careful=True, doomed=fate))
                self.result.dead += 1
                taken = []
            else:
                taken.append(record)
        if taken:
            await windows.settle(taken)

    async def _dead(self, policies: Subscriber) -> dict[tuple[str, int, int], str]:
        """Records that were dead for the policies and had no effect since, with the reason."""
        found: dict[tuple[str, int, int], tuple[UUID, str]] = {}
        letters = Place(dead_letters_of(self._service.name), 0)
        async with Log(self._bootstrap, [letters]) as log:
            while records := await log.more(letters):
                for record in records:
                    copy, told = read_copy(record), dict(record.headers)
                    if copy is not None and copy.subscriber == policies.name:
                        reason = told.get("prm_reason", b"").decode(errors="replace")
                        with suppress(KeyError, ValueError):  # a stranger's letter is of no fact
                            found[copy.place] = UUID(told["ce_id"].decode()), reason
        commands = {event: policies.commands_of(event) for event, _ in found.values()}
        asked = [each for those in commands.values() for each in those]
        known = await known_commands(await self._sessions.notes(), asked)
        return {
            place: f"dead before the restore ({reason}); discard it if that was done since"
            for place, (event, reason) in found.items()
            if not known.intersection(commands[event])
        }


async def _nothing(_taking: Taking, _envelope: Any, _recorded: Any) -> None:
    """For who passes over."""


async def _committed(bootstrap: str, group: str, places: Sequence[Place]) -> dict[Place, int]:
    """The offsets that the group goes on from, where it has any."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        asked = [TopicPartition(*place) for place in places]
        async with asyncio.timeout(COORDINATED_WITHIN):
            while True:
                with suppress(GroupCoordinatorNotAvailableError):  # asking makes it come about
                    found = await admin.list_consumer_group_offsets(group, partitions=asked)
                    break
                await asyncio.sleep(0.2)
        return {Place(*at): it.offset for at, it in found.items() if it.offset >= 0}
    finally:
        await admin.close()
