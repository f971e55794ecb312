"""All lists and documents, as the services' OpenAPI documents name them, are asked in one way:
lists in any order they offer, sparse, and live; documents as they were; each within the wall.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from ops.registry import SERVICES

from .story import BY_HAND, Partner, Person, Story, eventually

LISTS = (
    "/v1/alignments",
    "/v1/conflict-checks",
    "/v1/contacts",
    "/v1/customers",
    "/v1/deals",
    "/v1/exclusivity-claims",
    "/v1/failed-mails",
    "/v1/notifications",
    "/v1/partners",
    "/v1/price-books",
    "/v1/products",
    "/v1/territories",
)
DOCUMENTS = (
    "/v1/alignments/{alignment_id}",
    "/v1/contacts/{contact_id}",
    "/v1/customers/{customer_id}",
    "/v1/deals/{deal_id}",
    "/v1/notifications/{notification_id}",
    "/v1/partners/{partner_id}",
    "/v1/price-books/{price_book_id}",
    "/v1/territories/{territory_id}",
)
# Their rows are no partner's: a partner's people are refused, or see what everybody sees.
NO_PARTNERS = (
    "alignments",
    "customers",
    "exclusivity-claims",
    "failed-mails",
    "price-books",
    "products",
)


@dataclass(frozen=True)
class World:
    """Two rivals, a territory of the first, and a deal of each for one customer."""

    story: Story
    alpha: Partner
    borealis: Partner
    deal: str
    queued: str

    def reader(self, path: str) -> Person:
        return self.alpha.seller if "notifications" in path else self.story.operations

    def needed(self, path: str) -> dict[str, str]:
        """Parameters that a list cannot do without."""
        return {"subject": self.deal} if "conflict-checks" in path else {}

    def listed(self, path: str, **params: Any) -> list[dict[str, Any]]:
        collection = path.removeprefix("/v1/")
        return self.reader(path).lists(collection, **self.needed(path) | params)


@pytest.fixture(scope="module")
def world(story: Story) -> World:
    alpha, borealis = story.partners(2)
    # of another family: the deals' own cell is nobody's, so that one waits behind the other
    Story(story.platform, story.topics, story.http).territory(alpha)
    customer = story.customer()
    deal = story.registers(alpha, customer, BY_HAND)
    story.becomes(deal, "in_review")
    queued = story.registers(borealis, customer, BY_HAND)
    story.becomes(queued, "queued")
    story.unreachable(alpha.id)
    story.settled()
    return World(story, alpha, borealis, deal, queued)


@pytest.fixture(scope="module")
def documented(story: Story) -> dict[str, dict[str, Any]]:
    """Every question of every service, by path."""
    found: dict[str, dict[str, Any]] = {}
    for service in SERVICES:
        document = story.http.get(f"{story.platform.url(service.name)}/openapi.json").json()
        for path, operations in document["paths"].items():
            if "get" in operations:
                found[path] = operations["get"]
    return found


def parameter(operation: dict[str, Any], name: str) -> dict[str, Any]:
    return next((it for it in operation.get("parameters", ()) if it["name"] == name), {})


def offered(operation: dict[str, Any], name: str) -> list[str]:
    """The names in the pattern that the document gives for a parameter."""
    pattern = json.dumps(parameter(operation, name)["schema"])
    found = re.search(r"\(([a-z_|]+)\)", pattern)
    assert found, pattern
    return found.group(1).split("|")


def test_the_suite_knows_every_list_and_document(documented: dict[str, dict[str, Any]]) -> None:
    lists = {path for path, it in documented.items() if parameter(it, "fields")}
    documents = {path for path, it in documented.items() if parameter(it, "as_of")}

    assert lists == set(LISTS)
    assert documents == set(DOCUMENTS)
    assert all("text/event-stream" in documented[it]["responses"]["200"]["content"] for it in lists)


@pytest.mark.parametrize("path", LISTS)
def test_a_list_is_read_in_every_order_that_it_offers(
    world: World, documented: dict[str, dict[str, Any]], path: str
) -> None:
    whole = world.listed(path)
    assert whole

    for member in offered(documented[path], "sort"):
        rising = world.listed(path, sort=member)
        falling = world.listed(path, sort=f"-{member}")

        assert rising == falling[::-1], member
        assert sorted(map(str, rising)) == sorted(map(str, whole)), member
        values = [item[member] for item in rising]
        if member.endswith(("_at", "_on", "_minor", "_version")) and None not in values:
            assert values == sorted(values), member


@pytest.mark.parametrize("path", LISTS)
def test_a_sparse_list_shows_what_was_asked_for_and_no_more(
    world: World, documented: dict[str, dict[str, Any]], path: str
) -> None:
    whole = world.listed(path)

    for member in offered(documented[path], "fields"):
        sparse = world.listed(path, fields=member)

        assert sparse == [{k: v for k, v in it.items() if k == member} for it in whole], member


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("query", ["sort=nothing", "fields=nothing", "sort=document--"])
def test_a_member_that_a_list_does_not_have_is_refused(world: World, path: str, query: str) -> None:
    name, _, value = query.partition("=")

    answer = world.reader(path).ask(path.removeprefix("/v1/"), **world.needed(path) | {name: value})

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [f"/query/{name}"]


def ids_of(world: World, path: str) -> list[str]:
    """Of documents that the template can be filled with."""
    collection, member = re.findall(r"/v1/([a-z-]+)/\{(\w+)\}", path)[0]
    return [item[member] for item in world.listed(f"/v1/{collection}")][:5]


@pytest.mark.parametrize("path", DOCUMENTS)
def test_a_document_as_of_its_version_is_the_document(world: World, path: str) -> None:
    for record in ids_of(world, path):
        person, at = world.reader(path), f"{path.split('/')[2]}/{record}"
        today = person.ask(at)
        version = today.headers["ETag"].strip('"')

        as_of = person.ask(at, as_of=version)
        first = person.ask(at, as_of=1)
        never = person.ask(at, as_of="2001-01-01T00:00:00Z")

        assert (as_of.headers["ETag"], as_of.json()) == (today.headers["ETag"], today.json())
        assert first.headers["ETag"] == '"1"'
        assert never.status_code == 404


def test_a_deal_is_shown_as_it_was_before_it_was_decided(world: World) -> None:
    deal = world.story.registers(world.alpha, world.story.customer(), BY_HAND)
    world.story.becomes(deal, "in_review")
    before = world.story.operations.ask(f"deals/{deal}")
    withdrawn = world.alpha.seller.does(f"deals/{deal}/withdraw")
    seen = {"seen": withdrawn.position}

    version = before.headers["ETag"].strip('"')
    past = world.alpha.seller.reads(f"deals/{deal}", as_of=version, **seen)

    assert past["status"] == "in_review"
    assert world.alpha.seller.reads(f"deals/{deal}", **seen)["status"] == "withdrawn"


@pytest.mark.parametrize("as_of", ["1", "2", "2001-01-01T00:00:00Z", "2100-01-01T00:00:00Z"])
@pytest.mark.parametrize("path", [it for it in DOCUMENTS if it.split("/")[2] not in NO_PARTNERS])
def test_the_past_of_anothers_record_answers_like_that_of_a_missing_one(
    world: World, path: str, as_of: str
) -> None:
    foreign = ids_of_alpha(world, path)
    missing, same = str(uuid4()), str(uuid4())

    answers = [
        asked_with(world.borealis.seller, f"{path.split('/')[2]}/{record}", same, as_of=as_of)
        for record in (foreign, missing)
    ]

    assert answers[0].status_code == answers[1].status_code == 404
    assert answers[0].text.replace(foreign, missing) == answers[1].text


def ids_of_alpha(world: World, path: str) -> str:
    known: dict[str, Callable[[], str]] = {
        "contacts": lambda: world.alpha.seller.id,
        "deals": lambda: world.deal,
        "notifications": lambda: world.listed("/v1/notifications")[0]["notification_id"],
        "partners": lambda: world.alpha.id,
        "territories": lambda: world.alpha.seller.lists("territories")[0]["territory_id"],
    }
    return known[path.split("/")[2]]()


def asked_with(person: Person, path: str, correlation: str, **params: Any) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {person.token}", "Prm-Correlation-Id": correlation}
    return person.http.get(person.url(path), params=params, headers=headers)


class Stream:
    """A live list: its events as they come, and the last id."""

    def __init__(self, answer: httpx2.Response) -> None:
        self.lines = answer.iter_lines()
        self.last_id = ""
        self._until_id()

    def _until_id(self) -> None:
        while not self.last_id:
            self._take(next(self.lines))

    def _take(self, line: str) -> str:
        name, _, value = line.partition(": ")
        if name == "id":
            self.last_id = value
        return value if name == "data" else ""

    def until(self, is_it: Callable[[str], bool]) -> str:
        """The data of the first event that is it. The read time-out of the client bounds it."""
        return next(data for line in self.lines if (data := self._take(line)) and is_it(data))


@contextmanager
def live(world: World, path: str, person: Person, last_id: str = "") -> Iterator[Stream]:
    headers = {"Authorization": f"Bearer {person.token}", "Accept": "text/event-stream"}
    headers |= {"Last-Event-ID": last_id} if last_id else {}
    url = person.url(path.removeprefix("/v1/"))
    with person.http.stream("GET", url, params=world.needed(path), headers=headers) as answer:
        assert answer.status_code == 200, answer.read()
        yield Stream(answer)


@cache
def changes() -> dict[str, Callable[[World], str]]:
    """By list: something that changes it, and a text that its event then holds."""

    def product(world: World) -> str:
        story = world.story
        [book] = [it for it in world.listed("/v1/price-books") if it["code"] == story.family]
        sku = f"sku-{uuid4().hex[:8]}"
        new = {"sku": sku, "name": sku, "family": story.family, "unit": "piece"}
        path = f"price-books/{book['price_book_id']}/list-product"
        assert story.operations.tell(path, new | {"list_price_minor": 5}).is_success
        return sku

    def book(world: World) -> str:
        code = f"book-{uuid4().hex[:8]}"
        new = {"code": code, "name": code, "currency": "EUR"}
        return world.story.operations.does("price-books", new).id

    def contact(world: World) -> str:
        new = {"side": "partner", "partner_id": world.alpha.id, "name": "Ada", "language": "de"}
        email = {"email": f"{uuid4().hex}@example.org", "roles": ["partner-seller"]}
        return world.alpha.admin.does("contacts", new | email).id

    def check(world: World) -> str:
        """Undecided deals are checked again by the new map."""
        code = territory(world)
        [changed] = [it for it in world.listed("/v1/territories") if it["code"] == code]
        return f'"alignment_version": {changed["alignment_version"]}'

    def registered(world: World) -> str:
        return world.story.registers(world.alpha, world.story.customer())

    def customer(world: World) -> str:
        customer = world.story.customer()
        world.story.registers(world.alpha, customer)
        return str(customer["domain"])

    def alignment(world: World) -> str:
        name = f"Plan {uuid4().hex[:8]}"
        world.story.manager.does("alignments", {"name": name, "changes": []})
        return name

    def territory(world: World) -> str:
        code = f"t-{uuid4().hex[:8]}"
        rule = {"geographies": ["FR"], "families": [world.story.family]}
        assigned = [{"partner_id": world.alpha.id, "role": "shared"}]
        new = {"code": code, "name": code, "rule": rule, "assignments": assigned}
        story, changes = world.story, {"name": code, "changes": [{"definition": new}]}
        plan = story.manager.does("alignments", changes).id
        validated = story.manager.does(f"alignments/{plan}/validate").version
        story.operations.does(f"alignments/{plan}/approve", version=validated)
        story.operations.does(f"alignments/{plan}/activate")
        story.settled()
        return code

    return {
        "/v1/alignments": alignment,
        "/v1/conflict-checks": check,
        "/v1/contacts": contact,
        "/v1/customers": customer,
        "/v1/deals": registered,
        "/v1/exclusivity-claims": registered,
        "/v1/failed-mails": lambda world: world.story.unreachable(world.alpha.id),
        "/v1/notifications": registered,
        "/v1/partners": lambda world: world.story.applicant(),
        "/v1/price-books": book,
        "/v1/products": product,
        "/v1/territories": territory,
    }


@pytest.mark.parametrize("path", LISTS)
def test_a_list_is_followed_live_and_goes_on_from_the_last_id(world: World, path: str) -> None:
    person = world.reader(path)
    with live(world, path, person) as stream:
        heard = changes()[path](world)
        stream.until(lambda data: heard in data)
        last_id = stream.last_id

    missed = changes()[path](world)

    with live(world, path, person, last_id) as stream:
        assert stream.until(lambda data: missed in data)


def test_a_partner_hears_nothing_of_another(world: World) -> None:
    with live(world, "/v1/deals", world.borealis.admin) as stream:
        foreign = world.story.registers(world.alpha, world.story.customer())
        eventually(lambda: world.story.status(foreign) == "approved", what="approval")
        own = world.story.registers(world.borealis, world.story.customer())

        first = stream.until(bool)

    assert own in first
    assert foreign not in first


def test_a_last_id_is_its_partners_alone(world: World) -> None:
    with live(world, "/v1/deals", world.alpha.admin) as stream:
        foreign_id = stream.last_id
    headers = {
        "Accept": "text/event-stream",
        "Authorization": f"Bearer {world.borealis.admin.token}",
    }

    answers = [
        world.story.http.get(
            world.borealis.admin.url("deals"), headers=headers | {"Last-Event-ID": last_id}
        )
        for last_id in (foreign_id, "bm90aGluZw==")
    ]

    assert [answer.status_code for answer in answers] == [400, 400]
    assert answers[0].json()["type"] == answers[1].json()["type"] == "urn:problem:cursor-unreadable"
