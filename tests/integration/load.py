"""Callers who give command after command to all services, as careful clients do under faults."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from threading import Event as Flag
from typing import Any
from uuid import UUID, uuid4, uuid5

import httpx2

from chassis.testing.chaos import Chaos

from .story import OWNERS, Partner, Person, Story, eventually, random_word

ANSWERED_WITHIN = 120.0  # seconds, faults included
AGAIN_AFTER = 0.05
STILL_RUNNING = "urn:problem:command-still-running"
SHARED_CUSTOMERS = 4  # that many deals meet: they queue, and are promoted when one is withdrawn


@dataclass(frozen=True)
class Accepted:
    """A command that was answered: its id, and the aggregate addressed at its new version."""

    path: str
    command_id: str
    id: str
    version: int

    @property
    def topic(self) -> str:
        return f"prm.{self.path.split('/', maxsplit=1)[0]}"


@dataclass
class Told:
    """What callers have met. `unavailable`: answers 503; `lost`: requests without an answer.

    `refused`: types of refusals where others may be ahead; `answered`: paths of questions.
    """

    accepted: list[Accepted] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)
    unavailable: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """How many, and the last of each that a careful client does not want."""
        ends = [f"{len(it)}, {it[-1:]}" for it in (self.unavailable, self.lost, self.unexpected)]
        return "{} accepted; unavailable {}; lost {}; unexpected {}".format(
            len(self.accepted), *ends
        )

    def insist(
        self, person: Person, path: str, body: Any, key: str, version: int | None = None
    ) -> httpx2.Response:
        """Again under the same key until somebody answers for good."""
        end = time.monotonic() + ANSWERED_WITHIN
        while True:
            assert time.monotonic() < end, f"no answer to {path} in {ANSWERED_WITHIN} s"
            try:
                answer = person.send(path, body, key=key, version=version)
            except httpx2.HTTPError as failure:
                self.lost.append(f"{path}: {failure!r}")
            else:
                if answer.status_code == 503:
                    self.unavailable.append(answer.text)
                elif answer.status_code != 409 or answer.json()["type"] != STILL_RUNNING:
                    return answer
            time.sleep(AGAIN_AFTER)  # it says Retry-After: a second; a test has less time


class Load:
    """`writers` callers side by side, of which every second one keeps no connection open."""

    def __init__(
        self, story: Story, partners: list[Partner], chaos: Chaos, writer: "type[Writer]"
    ) -> None:
        self.story, self.partners, self.chaos, self.writer = story, partners, chaos, writer
        self.told, self.name = Told(), uuid4().hex[:12]
        self.customers = [story.customer() for _ in range(SHARED_CUSTOMERS)]
        self.deal = story.deal({})
        self.writing: list[Future[None]] = []
        self._ended = Flag()

    def accepted(self, service: str) -> int:
        """How many commands of a service were accepted so far."""
        owners = Counter(OWNERS[it.path.split("/", maxsplit=1)[0]] for it in self.told.accepted)
        return owners[service]

    def goes_on(self, count: int, *services: str) -> None:
        """Waits until so many more were accepted by each of the services."""
        for service in services:
            before = self.accepted(service)
            eventually(
                lambda: self.accepted(service) >= before + count,  # noqa: B023
                within=ANSWERED_WITHIN,
                what=f"{count} commands more at {service}: {self.told}",
            )

    def end(self) -> None:
        """Every caller has the answer to its last command."""
        self._ended.set()
        for each in self.writing:
            each.result()
        print(self.told)  # noqa: T201 - shown when a story fails, and by `make chaos`

    def write(self, number: int, pause: float) -> None:
        chance = self.chaos.chance(f"writer {number}")
        kept = 0 if number % 2 else 4
        # Shorter than the server keeps them: one that is closed while it is used is no answer.
        limits = httpx2.Limits(max_keepalive_connections=kept, keepalive_expiry=2.0)
        with httpx2.Client(timeout=30, trust_env=False, limits=limits) as http:
            writer = self.writer(self, chance, http, f"{self.name}-{number}")
            while not self._ended.wait(pause):
                writer.tell_something()


class Writer:
    """Tells one thing after the other, by chance."""

    def __init__(self, load: Load, chance: Random, http: httpx2.Client, name: str) -> None:
        self.load, self.chance, self.http, self.name = load, chance, http, name
        self.count = 0
        self.deals: list[tuple[Partner, str]] = []

    def tell_something(self) -> None:
        ways = self.ways()
        [way] = self.chance.choices(list(ways), weights=list(ways.values()))
        way()

    def ways(self) -> dict[Callable[[], None], int]:
        """What it may tell next, and how often."""
        often = {self.register: 6}
        return often | dict.fromkeys((self.withdraw, self.apply, self.draft, self.read), 1)

    def register(self) -> None:
        partner = self.chance.choice(self.load.partners)
        shared = self.chance.random() < 0.25
        others = self.load.customers
        customer = self.chance.choice(others) if shared else self.load.story.customer()
        accepted = self.tell(partner.seller, "deals", self.load.deal | {"customer": customer})
        self.deals += [(partner, accepted.id)] if accepted else []

    def withdraw(self) -> None:
        if self.deals:
            partner, deal = self.deals.pop(self.chance.randrange(len(self.deals)))
            self.tell(partner.seller, f"deals/{deal}/withdraw", {})

    def apply(self) -> None:
        profile = self.load.story.profile(f"Under load {random_word()}")
        self.tell(self.load.story.manager, "partners", profile)

    def draft(self) -> None:
        self.tell(self.load.story.manager, "alignments", {"name": random_word()})

    def read(self) -> None:
        """A notification, if the inbox answers now: a question may go without an answer."""
        partner = self.chance.choice(self.load.partners)
        seller = self.as_caller(partner.seller)
        try:
            found = seller.ask("notifications", is_read=False, limit=50)
        except httpx2.HTTPError as failure:
            self.load.told.lost.append(f"notifications: {failure!r}")
            return
        if found.is_success and (inbox := found.json()["items"]):
            chosen = self.chance.choice(inbox)["notification_id"]
            self.tell(seller, f"notifications/{chosen}/read", {})

    def tell(
        self,
        person: Person,
        path: str,
        body: Any,
        *,
        version: int | None = None,
        may_be_late: bool = False,
    ) -> Accepted | None:
        """`may_be_late`: somebody else may have decided what it rests on, and it is refused."""
        self.count += 1
        key = f"{self.name}-{self.count}"
        answer = self.load.told.insist(self.as_caller(person), path, body, key, version)
        if may_be_late and answer.status_code == 409:
            self.load.told.refused.append(answer.json()["type"])
            return None
        if not answer.is_success:
            self.load.told.unexpected.append(f"{path}: {answer.status_code} {answer.text}")
            return None
        said, command_id = answer.json(), str(uuid5(UUID(person.id), key))
        accepted = Accepted(path, command_id, said["id"], said["version"])
        self.load.told.accepted.append(accepted)
        return accepted

    def as_caller(self, person: Person) -> Person:
        return Person(person.id, person.token, person.platform, self.http)


@contextmanager
def under_load(
    story: Story,
    chaos: Chaos,
    *,
    partners: list[Partner] | None = None,
    writers: int = 6,
    writer: type[Writer] = Writer,
) -> Iterator[Load]:
    """Callers until the block ends; each then waits for the answer to its last command."""
    load = Load(story, partners or story.partners(3), chaos, writer)
    with ThreadPoolExecutor(writers) as pool:
        load.writing = [pool.submit(load.write, number, chaos.pause) for number in range(writers)]
        try:
            load.goes_on(5, "deal-svc")
            yield load
        finally:
            load.end()
