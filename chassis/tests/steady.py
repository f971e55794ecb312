"""Callers of the sample service who give no command up, and what must hold when they have ended."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event as Flag
from typing import Any
from uuid import UUID, uuid4, uuid5

import httpx2

from chassis.testing.chaos import Chaos
from chassis.testing.ledger import expect_none, wrong_in_log
from chassis.testing.topics import Event, Topics

from .counters import COUNTERS
from .crashing import FAILING, SHADOW, shadow_of
from .deployed import SampleProcess
from .sampled import token

CALLER = UUID(int=7)  # whom the sample's tokens name
ANSWERED_WITHIN = SETTLED_WITHIN = 90.0  # seconds, faults included
STEPS = (1, 2, 3, 5, FAILING)


def until(condition: Callable[[], object], within: float) -> bool:
    """Whether it holds in time."""
    end = time.monotonic() + within
    while not (holds := condition()) and time.monotonic() < end:
        time.sleep(0.05)
    return bool(holds)


@dataclass(frozen=True)
class Accepted:
    """A command that was answered. `step`: None where it opened its counter; 0 changes nothing."""

    command_id: str
    id: str
    version: int
    step: int | None


@dataclass
class Callers:
    """`longest_wait`: seconds until a command was answered, the repeats among them."""

    url: str
    chaos: Chaos
    accepted: list[Accepted] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    unavailable: list[str] = field(default_factory=list)
    longest_wait: float = 0.0
    ended: Flag = field(default_factory=Flag)
    given_up: Flag = field(default_factory=Flag)
    calling: list[Future[None]] = field(default_factory=list)

    def end(self) -> None:
        """Each has the answer to its last command."""
        self.ended.set()
        for each in self.calling:
            failure = each.exception()
            if failure and not self.given_up.is_set():
                raise failure

    def call(self, number: int) -> None:
        chance = self.chaos.chance(f"caller {number}")
        kept = 0 if number % 2 else 4
        limits = httpx2.Limits(max_keepalive_connections=kept, keepalive_expiry=2.0)
        with httpx2.Client(timeout=20, trust_env=False, limits=limits) as client:
            counter = self.opened(client)
            while not self.ended.wait(chance.uniform(0.0, 0.05)):
                if chance.random() < 0.2:
                    counter = self.opened(client)
                self.counted(client, counter, 0 if chance.random() < 0.1 else chance.choice(STEPS))

    def opened(self, client: httpx2.Client) -> str:
        return self.told(client, "", None, None).id

    def counted(self, client: httpx2.Client, counter: str, step: int) -> Accepted:
        lines = [{"step": step}] if step else []
        return self.told(client, f"/{counter}/count", {"lines": lines}, step)

    def told(self, client: httpx2.Client, path: str, body: Any, step: int | None) -> Accepted:
        key, began_at = str(uuid4()), time.monotonic()
        said = self.insisted(client, path, body, key).json()
        self.longest_wait = max(self.longest_wait, time.monotonic() - began_at)
        accepted = Accepted(str(uuid5(CALLER, key)), said["id"], said["version"], step)
        self.accepted.append(accepted)
        return accepted

    def insisted(self, client: httpx2.Client, path: str, body: Any, key: str) -> httpx2.Response:
        """Again under the same key until somebody answers for good."""
        head = {"Authorization": f"Bearer {token('channel-operations')}", "Idempotency-Key": key}
        end = time.monotonic() + ANSWERED_WITHIN
        while time.monotonic() < end and not self.given_up.is_set():
            try:
                answer = client.post(f"{self.url}/v1/counters{path}", json=body, headers=head)
            except httpx2.HTTPError as failure:
                self.lost.append(repr(failure))
            else:
                if answer.is_success:
                    return answer
                assert answer.status_code in (409, 503), answer.text
                self.unavailable.append(answer.text)
            time.sleep(0.05)  # between two requests of one caller
        raise AssertionError(f"no answer in {ANSWERED_WITHIN} s: {self.lost[-1:]}")

    def go_on(self, count: int = 10) -> None:
        """Until so many more were accepted."""
        wanted = len(self.accepted) + count
        went_on = until(lambda: len(self.accepted) >= wanted, ANSWERED_WITHIN)
        assert went_on, (self.lost[-1:], self.unavailable[-1:])


@contextmanager
def calling(url: str, chaos: Chaos, callers: int = 4) -> Iterator[Callers]:
    """Callers until the block ends, or until `end`."""
    them = Callers(url, chaos)
    with ThreadPoolExecutor(callers) as pool:
        them.calling = [pool.submit(them.call, each) for each in range(callers)]
        try:
            yield them
        except BaseException:
            them.given_up.set()  # nobody may answer any more
            raise
        finally:
            them.end()


@dataclass(frozen=True)
class Operator:
    process: SampleProcess

    def ask(self, method: str, path: str) -> httpx2.Response:
        head = {"Authorization": f"Bearer {token('platform-operator')}"}
        head |= {"Idempotency-Key": str(uuid4())}
        url = f"{self.process.url}/ops{path}"
        return httpx2.request(method, url, headers=head, trust_env=False, timeout=20)

    def letters(self, state: str) -> list[dict[str, Any]]:
        items = self.ask("GET", f"/dead-letters?limit=200&state={state}").json()["items"]
        return [it for it in items if it["aggregate_id"]]

    def redrives_all(self) -> int:
        """What waits or is dead, the first of each aggregate; the others follow it."""
        letters = [it for state in ("dead", "waiting") for it in self.letters(state)]
        for letter in letters:
            self.ask("POST", f"/dead-letters/{letter['id']}/redrive")
        return len(letters)

    def settles(self) -> int:
        """All is published and taken; nothing is parked. Answers with the store's head."""
        end = time.monotonic() + SETTLED_WITHIN
        head: int | None = None
        is_none_parked = False
        while time.monotonic() < end:
            before, head = head, self.idle_head()
            # What is parked while it is idle may be taken at any moment, and have its effect.
            if is_none_parked and head is not None and head == before:
                return head
            is_none_parked = not self.redrives_all()
            time.sleep(0.2)
        raise AssertionError(f"not settled in {SETTLED_WITHIN} s: {self.ask('GET', '/state').text}")

    def idle_head(self) -> int | None:
        """The store's head, if all of it is published and taken. 503: not now."""
        answer = self.ask("GET", "/state")
        state = answer.json()
        is_idle = answer.is_success and state["head"] == state["published"] and not state["lag"]
        return int(state["head"]) if is_idle else None


def assert_whole(process: SampleProcess, topics: Topics, callers: Callers) -> None:
    """From outside: what lies on the topic, and what the API answers."""
    head = Operator(process).settles()
    records = [event for event in topics.records(COUNTERS.name) if event.is_genuine]
    expect_none(wrong_in_log(records, head))
    facts = topics.facts(COUNTERS.name)
    expect_none(wrong_in_answers(callers.accepted, facts))
    expect_none(wrong_in_effects(facts))
    expect_none(wrong_in_read_model(process, callers.accepted, facts))


def wrong_in_answers(accepted: Iterable[Accepted], facts: list[Event]) -> Iterator[str]:
    """Every answer stands on the topic, and no command twice."""
    at = {(it.subject, it.version): it for it in facts}
    times = Counter(it.headers["ce_commandid"] for it in facts)
    for each in accepted:
        event = at.get((each.id, each.version))
        if event is None:
            yield f"lost: {each}"
        elif each.step != 0 and event.headers["ce_commandid"] != each.command_id:
            yield f"of another command: {each}"
        if times[each.command_id] != (each.step != 0):
            yield f"{times[each.command_id]} times: {each}"


def wrong_in_effects(facts: list[Event]) -> Iterator[str]:
    """Each count has one shadow, and the shadows of a counter come in its order."""
    causes: dict[str, list[tuple[str, int]]] = defaultdict(list)
    shadows: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for it in facts:
        if it.name == "Counted":
            is_shadow = it.fact["note"] == SHADOW
            of = it.subject if is_shadow else str(shadow_of(UUID(it.subject)))
            cause = it.headers.get("ce_causationid", "") if is_shadow else it.id
            (shadows if is_shadow else causes)[of].append((cause, it.fact["step"]))
    for of in causes.keys() | shadows.keys():
        if causes[of] != shadows[of]:
            yield f"{of}: {len(causes[of])} counts, {len(shadows[of])} shadows"


def wrong_in_read_model(
    process: SampleProcess, accepted: Iterable[Accepted], facts: list[Event]
) -> Iterator[str]:
    sums = Counter[str]()
    for it in facts:
        if it.name == "Counted":
            sums[it.subject] += it.fact["step"]
    head = {"Authorization": f"Bearer {token('channel-operations')}"}
    with httpx2.Client(base_url=process.url, headers=head, trust_env=False) as client:
        for counter in sorted({it.id for it in accepted}):
            shown = client.get(f"/v1/counters/{counter}").json()
            if shown.get("count") != sums[counter]:
                yield f"{counter} shows {shown}, and counts {sums[counter]}"
