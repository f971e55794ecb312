"""A process of a service takes the place of another, under the eyes of its clients."""

import os
import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Event
from uuid import uuid4

import httpx2
import psycopg

from chassis.running.runtime import doors

from .deployed import Deployment, SampleProcess, started
from .sampled import token
from .steady import until

OPERATIONS = {"Authorization": f"Bearer {token('channel-operations')}"}


class Callers:
    """Half of them keep their connection, half open one a command. `accepted`: ids; `failed`."""

    def __init__(self, url: str) -> None:
        self.url, self.accepted, self.failed = url, list[str](), list[str]()
        self.ended, self.calling = Event(), list[Future[None]]()

    def call(self, kept_connections: int) -> None:
        limits = httpx2.Limits(max_keepalive_connections=kept_connections)
        with httpx2.Client(limits=limits, trust_env=False, timeout=20) as client:
            while not self.ended.is_set():
                self.command(client)

    def command(self, client: httpx2.Client) -> None:
        head = OPERATIONS | {"Idempotency-Key": str(uuid4())}
        try:
            answer = client.post(f"{self.url}/v1/counters", headers=head)
        except httpx2.HTTPError as failure:
            self.failed.append(repr(failure))
            return
        if answer.status_code == 201:
            self.accepted.append(answer.json()["id"])
        else:
            self.failed.append(answer.text)

    def end(self) -> None:
        """Each has its last answer."""
        self.ended.set()
        for each in self.calling:
            each.result()

    def go_on(self, count: int, within: float = 30) -> None:
        """Until so many more were accepted."""
        wanted = len(self.accepted) + count
        assert until(lambda: len(self.accepted) >= wanted, within), self.failed[-3:]


@contextmanager
def called(url: str) -> Iterator[Callers]:
    callers = Callers(url)
    with ThreadPoolExecutor(8) as pool:
        callers.calling = [pool.submit(callers.call, number % 2 * 8) for number in range(8)]
        try:
            callers.go_on(50)
            yield callers
        finally:
            callers.end()


def stored(deployment: Deployment) -> set[str]:
    with psycopg.connect(deployment.addresses.database_dsn) as connection:
        rows = connection.execute("SELECT DISTINCT aggregate_id::text FROM events").fetchall()
    return {row[0] for row in rows}


def successor(
    deployment: Deployment, first: SampleProcess, door: Path, **others: str
) -> AbstractContextManager[SampleProcess]:
    given = {"service_port": str(first.port), "handover": str(door)}
    return started(deployment, **given | others)


def test_a_successor_takes_over_without_a_failed_request(
    deployment: Deployment, tmp_path: Path
) -> None:
    door = tmp_path / "handover"
    with started(deployment, handover=str(door)) as first:
        first.until_answers("/readyz", 200)
        with called(first.url) as callers, successor(deployment, first, door) as second:
            code, said = first.waited_for(60)
            callers.go_on(200)
            second.until_answers("/readyz", 200)
            callers.end()

    assert code == 0, said
    assert callers.failed == []
    assert set(callers.accepted) <= stored(deployment)


def test_who_takes_the_socket_does_not_have_the_first_wait_at_it() -> None:
    """Of a socket that two processes hold, what one says about waiting holds for both."""
    with socket.create_server(("127.0.0.1", 0)) as first:
        first.setblocking(False)
        taken = socket.fromfd(first.fileno(), first.family, first.type)

        opened = doors(taken)

        assert not os.get_blocking(first.fileno())
        for door in opened:
            door.close()


def test_a_successor_that_cannot_answer_leaves_the_first_in_its_place(
    deployment: Deployment, tmp_path: Path
) -> None:
    door, nowhere = tmp_path / "handover", "postgresql://127.0.0.1:1/none"
    with started(deployment, handover=str(door)) as first:
        first.until_answers("/readyz", 200)
        with called(first.url) as callers:
            with successor(deployment, first, door, keys_dsn=nowhere) as second:
                second.until_says("about to take the place")
                callers.go_on(50)
            callers.go_on(50)

        assert callers.failed == []
        assert first.until_answers("/readyz", 200).json()["ready"]


def test_who_keeps_a_connection_is_told_that_it_closes(
    deployment: Deployment, tmp_path: Path
) -> None:
    with started(deployment) as process, httpx2.Client(trust_env=False) as client:
        process.until_answers("/readyz", 200)
        before = client.get(f"{process.url}/healthz")

        process.process.terminate()
        assert until(lambda: "connection" in client.get(f"{process.url}/healthz").headers, 1)

    assert "connection" not in before.headers
