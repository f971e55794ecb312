"""Who follows a list live, or asks for the past, notices nothing when its table is swapped."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from chassis.rebuilding.rebuild import rebuild
from chassis.running.admin import owned

from .deployed import Deployment, started
from .sampled import SERVICE, token
from .steady import until

SWAPS = 4
MEANWHILE = 6  # questions about the past, at least, for each swap
FEW = 2  # events of a connection, after which its client leaves
AWAY = 2  # counters: of one at least all is told while nobody is connected
TOLD_WITHIN = 60.0  # seconds


class Seller:
    """Counts up by one, and asks at once what that was like at its versions."""

    def __init__(self, url: str, who: str) -> None:
        self._url, self._head = f"{url}/v1/counters", {"Authorization": f"Bearer {who}"}
        self.counts: dict[str, int] = {}
        self.looked_back, self.is_done = 0, False

    def work(self, ended: Event) -> None:
        try:
            while not ended.is_set():
                counter = self.told("")["id"]
                for version in (1, 2, 3):
                    self.looks_back(counter, version)
                    self.told(f"/{counter}/count", {"lines": [{"step": 1}]})
                self.counts[counter] = 3
        finally:
            self.is_done = True

    def told(self, path: str, body: Any = None) -> Any:
        head = self._head | {"Idempotency-Key": str(uuid4())}
        answer = httpx2.post(self._url + path, json=body, headers=head, trust_env=False, timeout=20)
        assert answer.is_success, answer.text
        self._head["Prm-Position"] = answer.headers["Prm-Position"]
        return answer.json()

    def looks_back(self, counter: str, version: int) -> None:
        url = f"{self._url}/{counter}?as_of={version}"
        while (answer := self._asked(url)).status_code == 503:
            """It says so, rather than to answer with less."""
        assert answer.status_code == 200, answer.text
        assert (answer.json()["count"], answer.headers["ETag"]) == (version - 1, f'"{version}"')
        self.looked_back += 1

    def _asked(self, url: str) -> httpx2.Response:
        return httpx2.get(url, headers=self._head, trust_env=False, timeout=20)


class Follower:
    """Of the same partner's list. `told`: by connection, counters with their counts."""

    def __init__(self, url: str, who: str, seller: Seller) -> None:
        self._url, self._seller = f"{url}/v1/counters", seller
        self._head = {"Authorization": f"Bearer {who}", "Accept": "text/event-stream"}
        self.told: list[list[tuple[str, int]]] = []

    def follow(self, ended: Event) -> None:
        while not ended.is_set():
            self.told.append([])
            with httpx2.stream(
                "GET", self._url, headers=self._head, trust_env=False, timeout=20
            ) as answer:
                assert answer.status_code == 200
                self._until_few(answer.iter_lines(), ended)
            enough = len(self._seller.counts) + AWAY
            until(lambda: self._seller.is_done or len(self._seller.counts) >= enough, TOLD_WITHIN)  # noqa: B023 - in this turn

    def _until_few(self, lines: Iterator[str], ended: Event) -> None:
        for line in lines:
            if line.startswith("data: "):
                document = json.loads(line.removeprefix("data: "))
                self.told[-1].append((document["counter_id"], document["count"]))
            elif line.startswith("id: "):
                self._head["Last-Event-ID"] = line.removeprefix("id: ")
                if ended.is_set() or len(self.told[-1]) >= FEW:
                    return

    @property
    def is_there(self) -> bool:
        return "Last-Event-ID" in self._head

    def last(self) -> dict[str, int]:
        return dict(event for connection in self.told for event in connection)


@contextmanager
def at_work(work: Callable[[Event], None]) -> Iterator[Future[None]]:
    """It ends with the block, in which it may have failed."""
    ended = Event()
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work, ended)
        try:
            yield working
        finally:
            ended.set()
    working.result()


def swap_meanwhile(deployment: Deployment, seller: Seller, working: Future[None]) -> None:
    """The seller goes on before, beside and after it."""
    dsn = owned(deployment.admin_dsn, deployment.service.database)
    swap = rebuild(SERVICE, "counter_list", dsn=dsn, bootstrap=deployment.bootstrap)
    enough = seller.looked_back + MEANWHILE
    assert asyncio.run(swap).is_equal
    assert until(lambda: seller.looked_back >= enough or working.done(), TOLD_WITHIN)
    if working.done():
        working.result()


def assert_each_once(told: list[tuple[str, int]]) -> None:
    counts = defaultdict[str, list[int]](list)
    for counter, count in told:
        counts[counter].append(count)
    assert all(each == sorted(set(each)) for each in counts.values()), told


@pytest.mark.timeout(300)
def test_no_event_is_lost_or_doubled_and_the_past_stays_while_a_table_is_swapped(
    deployment: Deployment,
) -> None:
    who = token("partner-seller", partner_id=uuid4())
    with started(deployment) as process:
        process.until_answers("/readyz", 200)
        seller = Seller(process.url, who)
        follower = Follower(process.url, who, seller)
        with at_work(follower.follow) as following:
            assert until(lambda: follower.is_there or following.done(), TOLD_WITHIN)
            with at_work(seller.work) as working:
                for _ in range(SWAPS):
                    swap_meanwhile(deployment, seller, working)
            until(lambda: follower.last() == seller.counts or following.done(), TOLD_WITHIN)

    assert follower.last() == seller.counts
    assert len(follower.told) > 1  # it has come back from its last id
    for told in follower.told:
        assert_each_once(told)
