"""A whole verification or restoration of one service, from addresses to results."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import AsyncConnection

from chassis.consuming.subscribers import POLICIES, Reactions, consumed, subscribers_of
from chassis.consuming.tracking import Place
from chassis.publishing.topics import dead_letters_of
from chassis.recovery.letters import LettersVerified, verify_letters
from chassis.recovery.log import Log, places_of
from chassis.recovery.restoring import Progress, Restoration, Restored
from chassis.recovery.resuming import Resumed, Resumption
from chassis.recovery.verifying import Verification, Verified
from chassis.storage.rounds import Connection
from prm_contracts.facts import Topic


@dataclass(frozen=True)
class Addresses:
    """`owner_dsn`: of the database, as who owns its tables; `dsn`: as the service connects."""

    owner_dsn: str
    dsn: str
    bootstrap: str


def silently(_done: int, _of: int) -> None:
    """Tells nobody."""


async def verify(
    dsn: str,
    bootstrap: str,
    service: str,
    topics: Sequence[Topic[Any]],
    progress: Progress = silently,
) -> tuple[Verified, LettersVerified]:
    """Changes nothing; the service may run meanwhile. `topics`: those that it alone writes.

    Raises TopicMissing, and the errors of psycopg, aiokafka and sockets.
    """
    async with await AsyncConnection.connect(dsn, autocommit=True, connect_timeout=5) as connection:
        verified = await Verification(connection, service, topics).run(bootstrap, progress)
        letters = await verify_letters(connection, service, bootstrap, verified.findings)
    return verified, letters


async def restore(
    at: Addresses,
    service: Reactions,
    now: Callable[[], datetime],
    *,
    accept_loss: bool = False,
    rewind: timedelta = timedelta(0),
    not_ours: frozenset[str] = frozenset(),
    progress: Callable[[str], Progress] = lambda _: silently,
) -> tuple[Restored, Resumed | None]:
    """While the service does not run. The second answer is None if there was nothing to do.

    `progress` is told what is done and gives who is told how far it is. Raises Refused,
    StillRunning, TopicMissing, and the errors of psycopg, aiokafka and sockets.
    """
    reoffered, letters = await _ends(at.bootstrap, service)
    connect = Connection.connect(at.owner_dsn, autocommit=True, connect_timeout=5)
    async with await connect as connection:
        restored = await Restoration(
            connection, service.name, service.topics, accept_loss=accept_loss, not_ours=not_ours
        ).run(at.bootstrap, reoffered, letters, progress("facts"))
    if not restored.is_to_be_ended:
        return restored, None
    resumption = Resumption(service, at.dsn, at.bootstrap, now, rewind)
    return restored, await resumption.run(progress("read models"))


async def _ends(bootstrap: str, service: Reactions) -> tuple[dict[Place, int], int]:
    """The last offsets of all that policies react to, and where the dead letters end."""
    read = [
        topic
        for name, topic in consumed(service).items()
        for each in subscribers_of(service)
        if each.name == POLICIES and name in each.topics
    ]
    letters = Place(dead_letters_of(service.name), 0)
    async with Log(bootstrap, [*places_of(read), letters]) as log:
        ends = {place: end - 1 for place, (_, end) in log.bounds.items() if end}
    return ends, ends.pop(letters, -1) + 1
