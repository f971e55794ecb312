"""What a story is told with: people who tell and ask, things of their own, waiting with a bound."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import SystemRandom
from typing import Any, NamedTuple, TypeVar
from uuid import uuid4

import httpx2

from chassis.testing.topics import Event, Topics
from ops import clock
from ops.client import Role
from ops.local import LocalServer
from ops.platform import Platform

T = TypeVar("T")
AUTOMATIC = 1_000_00  # minor units: a rule approves a clear deal of this amount
BY_HAND = 200_000_00  # above what a rule may approve
PATIENCE = 30.0  # seconds
OWNERS = {
    "partners": "partner-svc",
    "contacts": "partner-svc",
    "deals": "deal-svc",
    "price-books": "deal-svc",
    "exclusivity-claims": "deal-svc",
    "products": "deal-svc",
    "customers": "deal-svc",
    "territories": "territory-svc",
    "alignments": "territory-svc",
    "conflict-checks": "territory-svc",
    "notifications": "notify-svc",
    "failed-mails": "notify-svc",
}


def eventually(
    condition: Callable[[], T], within: float = PATIENCE, what: str | Callable[[], str] = ""
) -> T:
    """The first true answer; fails with the last one if none comes within the time.

    `what` is waited for, or tells at that time how it stands.
    """
    end = time.monotonic() + within
    while not (answer := condition()):
        if time.monotonic() > end:
            told = what() if callable(what) else what
            raise AssertionError(f"not within {within} s: {told or condition}: {answer}")
        time.sleep(0.05)
    return answer


@dataclass(frozen=True)
class Person:
    """Somebody with an access token. Paths begin at the collection: `deals/{id}/withdraw`."""

    id: str
    token: str
    platform: Platform
    http: httpx2.Client

    def tell(
        self,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        seen: str | None = None,
        version: int | None = None,
    ) -> httpx2.Response:
        """A command. One that cannot be served now (503) is repeated under the same key."""
        key, end = key or str(uuid4()), time.monotonic() + PATIENCE
        while True:
            answer = self.send(path, body, key=key, seen=seen, version=version)
            if answer.status_code != 503 or seen or time.monotonic() > end:
                return answer
            time.sleep(0.05)  # it said so: Retry-After, cut short for a test

    def send(
        self,
        path: str,
        body: Any = None,
        *,
        key: str,
        seen: str | None = None,
        version: int | None = None,
    ) -> httpx2.Response:
        """A command, once."""
        headers = self._headers(seen) | {"Idempotency-Key": key}
        headers |= {"If-Match": f'"{version}"'} if version else {}
        body = {} if body is None else body
        return self.http.post(self.url(path), json=body, headers=headers)

    def does(self, path: str, body: Any = None, **how: Any) -> "Done":
        """A command that is accepted."""
        answer = self.tell(path, body, **how)
        assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
        said = answer.json()
        return Done(said["id"], said["version"], answer.headers["Prm-Position"])

    def ask(self, path: str, *, seen: str | None = None, **params: Any) -> httpx2.Response:
        return self.http.get(self.url(path), params=params, headers=self._headers(seen))

    def reads(self, path: str, **how: Any) -> dict[str, Any]:
        answer = self.ask(path, **how)
        assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
        return dict(answer.json())

    def lists(self, path: str, **how: Any) -> list[dict[str, Any]]:
        """Every page."""
        page = self.reads(path, limit=200, **how)
        items = list(page["items"])
        while page["next_cursor"]:
            page = self.reads(path, limit=200, cursor=page["next_cursor"], **how)
            items += page["items"]
        return items

    def url(self, path: str) -> str:
        return f"{self.platform.url(OWNERS[path.split('/', maxsplit=1)[0]])}/v1/{path}"

    def _headers(self, seen: str | None) -> dict[str, str]:
        known = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return known | ({"Prm-Position": seen} if seen else {})


class Done(NamedTuple):
    """What a command answers."""

    id: str
    version: int
    position: str


@dataclass(frozen=True)
class Partner:
    id: str
    seller: Person
    admin: Person


class Story:
    """The platform, and things that no other story has: partners, products, customers."""

    def __init__(self, platform: Platform, topics: Topics, http: httpx2.Client) -> None:
        self.platform, self.topics, self.http = platform, topics, http
        self.family = f"family-{uuid4().hex[:12]}"
        self.manager = self.person("channel-account-manager", name="Mara")
        self.operations = self.person("channel-operations", name="Otto")
        self.product_id = self._product()

    def person(self, role: Role, partner: str | None = None, name: str | None = None) -> Person:
        token = self.platform.client.token(role, partner, name)
        claims = token.split(".")[1]
        padded = claims + "=" * (-len(claims) % 4)
        subject = json.loads(base64.urlsafe_b64decode(padded))["sub"]
        return Person(subject, token, self.platform, self.http)

    def applicant(self, name: str = "Partner") -> str:
        """The id of a partner that waits for approval."""
        return self.manager.does("partners", self.profile(f"{name} {random_word()}")).id

    def profile(self, name: str) -> dict[str, Any]:
        """The body of an application."""
        return {
            "legal_name": name,
            "country": "DE",
            "types": ["reseller"],
            "currency": "EUR",
            "time_zone": "Europe/Berlin",
        }

    def unreachable(self, partner_id: str) -> str:
        """The id of a contact whose e-mails are all refused: the first one welcomes it."""
        address = f"{random_word().lower()}@refused.example"
        wanted = {"side": "partner", "partner_id": partner_id, "name": "Ada", "language": "en"}
        how = {"email": address, "roles": ["partner-seller"]}
        contact = self.operations.does("contacts", wanted | how).id
        self.operations.does(f"contacts/{contact}/accept")
        return contact

    def people_of(self, partner_id: str) -> Partner:
        admin = self.person("partner-admin", partner_id)
        return Partner(partner_id, self.person("partner-seller", partner_id), admin)

    def partners(self, count: int) -> list[Partner]:
        """Active ones, known to all services."""
        ids = [self.applicant() for _ in range(count)]
        for partner_id in ids:
            self.operations.does(f"partners/{partner_id}/approve", {"terms_version": "2027-1"})
        partners = [self.people_of(partner_id) for partner_id in ids]
        self.settled()
        return partners

    def customer(self) -> dict[str, Any]:
        """One like no other, as a partner names it."""
        word = random_word()
        return {"name": f"{word} GmbH", "country": "DE", "domain": f"{word.lower()}.example"}

    def territory(self, partner: Partner) -> None:
        """All of Germany is this partner's, for the story's products."""
        definition = {
            "code": self.family,
            "name": "Germany",
            "rule": {"geographies": ["DE"], "families": [self.family]},
            "assignments": [{"partner_id": partner.id, "role": "exclusive"}],
        }
        wanted = {"name": "Spring", "changes": [{"definition": definition}]}
        alignment = self.manager.does("alignments", wanted).id
        validated = self.manager.does(f"alignments/{alignment}/validate").version
        self.operations.does(f"alignments/{alignment}/approve", version=validated)
        self.operations.does(f"alignments/{alignment}/activate")
        self.settled()

    def deal(self, customer: dict[str, Any], amount: int = AUTOMATIC) -> dict[str, Any]:
        """The body of a registration."""
        closes = self.now().date() + timedelta(days=60)
        line = {"product_id": self.product_id, "quantity": 1, "unit_price_minor": amount}
        return {
            "customer": customer,
            "lines": [line],
            "currency": "EUR",
            "expected_close_on": closes.isoformat(),
            "sales_activity": "Met the customer, who wants an offer.",
        }

    def registers(
        self, partner: Partner, customer: dict[str, Any], amount: int = AUTOMATIC, **how: Any
    ) -> str:
        """The id of the deal that the partner's seller registers."""
        return partner.seller.does("deals", self.deal(customer, amount), **how).id

    def status(self, deal_id: str) -> str:
        answer = self.manager.ask(f"deals/{deal_id}")
        return str(answer.json()["status"]) if answer.is_success else answer.text

    def becomes(self, deal_id: str, status: str) -> None:
        eventually(lambda: self.status(deal_id) == status, what=f"deal {deal_id} {status}")

    def fact(self, topic: str, subject: str, name: str) -> Event:
        """The newest of that name; waits for it."""
        return eventually(lambda: self.all(topic, subject, name), what=f"{name} of {subject}")[-1]

    def all(self, topic: str, subject: str, name: str) -> list[Event]:
        return [event for event in self.topics.facts(topic, subject) if event.name == name]

    def line_of(self, deal_id: str) -> list[Event]:
        """The facts of the deal's line, in order."""
        [claim] = self.fact("prm.deals", deal_id, "DealRegistered").fact["claims"]
        return self.topics.facts("prm.exclusivities", claim["exclusivity_id"])

    def checks_of(self, deal_id: str) -> list[Event]:
        """territory-svc's answers so far."""
        facts = self.topics.facts("prm.conflict-checks")
        return [event for event in facts if event.fact["subject"] == deal_id]

    def told(self, person: Person) -> list[tuple[str, str]]:
        """(template, id of what it tells of) of all in the person's inbox."""
        inbox = person.lists("notifications")
        return [(entry["template"], entry["cause"]["aggregate_id"]) for entry in inbox]

    def now(self) -> datetime:
        return datetime.fromisoformat(self.platform.client.state_of("deal-svc")["now"])

    def settled(self) -> None:
        """No service is behind, all is published, and nothing new comes."""
        clock.settle(self.platform.client, list(self.platform.services))

    def advance(self, span: timedelta) -> None:
        clock.advance(self.platform.client, list(self.platform.services), span, lambda _: None)

    @contextmanager
    def frozen_broker(self) -> Iterator[None]:
        """A broker that keeps its connections and answers nothing."""
        kafka = self._own_broker()
        kafka.freeze()
        try:
            yield
        finally:
            kafka.thaw()

    @contextmanager
    def stopped_broker(self) -> Iterator[None]:
        """A broker that was ended in order."""
        kafka = self._own_broker()
        kafka.stop()
        try:
            yield
        finally:
            kafka.start()

    @contextmanager
    def lost_broker(self) -> Iterator[None]:
        """A broker that died: nothing that is sent meanwhile lies in a buffer of its machine."""
        kafka = self._own_broker()
        kafka.kill()
        try:
            yield
        finally:
            kafka.start()

    @contextmanager
    def without(self, *services: str) -> Iterator[None]:
        """Stopped in order, and started again afterwards."""
        for service in services:
            self.platform.stop_service(service)
        try:
            yield
        finally:
            for service in services:
                self.platform.start_service(service)

    def _own_broker(self) -> LocalServer:
        kafka = self.platform.backends.kafka
        assert isinstance(kafka, LocalServer), "a broker given by address is not ours to harm"
        return kafka

    def _product(self) -> str:
        book = {"code": self.family, "name": "Story", "currency": "EUR"}
        book_id = self.operations.does("price-books", book).id
        family = {"family": self.family, "name": "Story"}
        self.operations.does(f"price-books/{book_id}/define-family", family)
        product = {"sku": "one", "name": "One", "family": self.family, "unit": "piece"}
        listed = product | {"list_price_minor": AUTOMATIC}
        answer = self.operations.tell(f"price-books/{book_id}/list-product", listed)
        return str(answer.json()["product_id"])


def random_word() -> str:
    """A name that no matching takes for another."""
    return "".join(SystemRandom().choices("abcdefghijklmnopqrstuvwxyz", k=14)).capitalize()
