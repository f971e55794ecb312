"""Requests of the right shape about the wrong record, version, state, key, list or partner."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from .operations import Asking, Operation, asking
from .story import BY_HAND, Partner, Person, Story

CODE = {"reason_code": "other"}
ROLE = {"role": "partner-seller"}
DEFINITION = {"code": "t-1", "name": "T", "rule": {}, "assignments": []}
PRODUCT = {"sku": "s", "name": "S", "family": "f", "unit": "piece", "list_price_minor": 1}
# By path, a body that each command on a record takes; no path: it takes none.
BODIES: dict[str, dict[str, Any]] = {
    "/v1/partners/{partner_id}/approve": {"terms_version": "1"},
    "/v1/partners/{partner_id}/reject": CODE,
    "/v1/partners/{partner_id}/suspend": CODE,
    "/v1/partners/{partner_id}/reinstate": {},
    "/v1/partners/{partner_id}/assign-channel-manager": {"contact_id": str(uuid4())},
    "/v1/contacts/{contact_id}/grant-role": ROLE,
    "/v1/contacts/{contact_id}/revoke-role": ROLE,
    "/v1/contacts/{contact_id}/set-limit": {
        "kind": "deal-approval",
        "currency": "EUR",
        "amount_minor": 1,
    },
    "/v1/contacts/{contact_id}/set-notification-preferences": {"language": "de"},
    "/v1/contacts/{contact_id}/deactivate": CODE,
    "/v1/deals/{deal_id}/approve": {},
    "/v1/deals/{deal_id}/reject": {"reason_code": "tender"},
    "/v1/deals/{deal_id}/withdraw": {},
    "/v1/deals/{deal_id}/check-again": {},
    "/v1/price-books/{price_book_id}/define-family": {"family": "f", "name": "F"},
    "/v1/price-books/{price_book_id}/list-product": PRODUCT,
    "/v1/alignments/{alignment_id}/change-territory": {"definition": DEFINITION},
}


@dataclass(frozen=True)
class World:
    """`records`: by the first segment of their path, an id of each kind."""

    story: Story
    asks: Asking
    alpha: Partner
    borealis: Partner
    records: dict[str, str]

    @property
    def on_records(self) -> list[Operation]:
        """Commands on one record."""
        return [it for it in self.asks.all if it.is_command and it.parameters("path")]

    @property
    def lists(self) -> list[Operation]:
        return [it for it in self.asks.all if "cursor" in it.parameters("query")]

    def tells(self, operation: Operation, record: str, **headers: Any) -> httpx2.Response:
        body = BODIES.get(operation.path)
        return self.asks.http.post(
            operation.filled(record),
            json=body,
            headers={"Authorization": str(self.asks.bearer(operation))}
            | {"Idempotency-Key": str(uuid4())}
            | (
                {"If-Match": '"1"'}
                if operation.parameters("header")["if-match"]["required"]
                else {}
            )
            | {name.replace("_", "-"): text for name, text in headers.items()},
        )


def kind(operation: Operation) -> str:
    return operation.path.split("/")[2]


@pytest.fixture(scope="module")
def world(story: Story) -> World:
    alpha, borealis = story.partners(2)
    deal = story.registers(alpha, story.customer(), BY_HAND)
    story.registers(alpha, story.customer(), BY_HAND)
    story.becomes(deal, "in_review")
    drafts = [story.manager.does("alignments", {"name": name}).id for name in ("one", "two")]
    story.settled()
    books = story.operations.lists("price-books")
    records = {
        "partners": alpha.id,
        "contacts": alpha.seller.id,
        "deals": deal,
        "price-books": next(it["price_book_id"] for it in books if it["code"] == story.family),
        "customers": story.manager.lists("customers")[0]["customer_id"],
        "alignments": drafts[0],
        "notifications": alpha.seller.lists("notifications")[0]["notification_id"],
    }
    return World(story, asking(story, alpha.id), alpha, borealis, records)


def alike(answer: httpx2.Response, record: str) -> tuple[int, str]:
    """The answer without what must differ: the id asked for, and the request's own id."""
    said = answer.text.replace(record, "RECORD")
    return answer.status_code, said.replace(answer.headers["prm-correlation-id"], "")


def test_the_suite_knows_every_command_on_a_record(world: World) -> None:
    taken = {it.path for it in world.on_records if it.takes_json}

    assert taken == BODIES.keys()
    assert {kind(it) for it in world.on_records} <= world.records.keys()


def test_a_record_of_another_kind_answers_like_a_missing_one(world: World) -> None:
    for operation in world.on_records:
        missing = str(uuid4())
        unknown = alike(world.tells(operation, missing), missing)
        for other in world.records.keys() - {kind(operation)}:
            record = world.records[other]
            answer = world.tells(operation, record)

            assert (answer.status_code, alike(answer, record)) == (404, unknown), str(operation)


def test_a_record_is_found_under_the_version_that_it_has_alone(world: World) -> None:
    for operation in world.on_records:
        answer = world.tells(operation, world.records[kind(operation)], If_Match='"999999"')

        assert answer.status_code == 412, (str(operation), answer.text)
        assert answer.json()["type"] == "urn:problem:precondition-failed"
        assert answer.json()["version"] > 0


def test_anothers_record_under_a_passed_version_is_missing_all_the_same(world: World) -> None:
    foreign = world.records["deals"]

    answers = {
        alike(world.borealis.seller.tell(f"deals/{it}/withdraw", version=99), it)
        for it in (foreign, str(uuid4()))
    }

    assert {status for status, _ in answers} == {404}
    assert len(answers) == 1


def test_a_state_that_does_not_allow_it_is_named(world: World) -> None:
    alpha, deal = world.records["partners"], world.records["deals"]
    draft, told = world.records["alignments"], world.records["notifications"]
    operations, manager = world.story.operations, world.story.manager
    left = world.story.registers(world.alpha, world.story.customer(), BY_HAND)
    world.alpha.seller.does(f"deals/{left}/withdraw")
    gone = world.story.unreachable(alpha)
    operations.does(f"contacts/{gone}/deactivate", CODE)
    wrong: tuple[tuple[Person, str, dict[str, Any]], ...] = (
        (operations, f"partners/{alpha}/approve", {"terms_version": "1"}),
        (operations, f"partners/{alpha}/reject", CODE),
        (operations, f"partners/{alpha}/reinstate", {}),
        (manager, f"contacts/{world.alpha.seller.id}/accept", {}),
        (operations, f"contacts/{gone}/grant-role", {"role": "partner-admin"}),
        (operations, f"contacts/{gone}/deactivate", CODE),
        (operations, f"alignments/{draft}/activate", {}),
        (operations, f"deals/{left}/approve", {"unchecked": True}),
        (operations, f"deals/{left}/reject", {"reason_code": "tender"}),
        (operations, f"notifications/{told}/retry-mail", {}),
    )

    for person, path, body in wrong:
        answer = person.tell(path, body)

        assert answer.status_code == 409, (path, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
    assert world.story.status(deal) == "in_review"


def test_a_key_of_another_command_is_refused_by_every_command(world: World) -> None:
    """Of the same service and caller."""
    first = {
        "partner-svc": ("partners", profile()),
        "deal-svc": ("price-books", {"code": f"b-{uuid4().hex}", "name": "B", "currency": "EUR"}),
        "territory-svc": ("alignments", {"name": "three"}),
    }
    for service, (path, body) in first.items():
        key = str(uuid4())
        world.story.operations.does(path, body, key=key)
        bearer = f"Bearer {world.story.operations.token}"
        for operation in world.on_records:
            if operation.service == service and "channel-operations" in operation.roles:
                record = world.records[kind(operation)]
                answer = world.tells(operation, record, Idempotency_Key=key, Authorization=bearer)

                assert answer.status_code == 422, (str(operation), answer.text)
                assert answer.json()["type"] == "urn:problem:idempotency-key-reused"


def profile() -> dict[str, Any]:
    named = {"legal_name": f"Partner {uuid4().hex}", "country": "DE", "types": ["reseller"]}
    return named | {"currency": "EUR", "time_zone": "Europe/Berlin"}


def test_a_key_used_at_once_is_one_command(world: World) -> None:
    key, body = str(uuid4()), profile()

    with ThreadPoolExecutor(8) as threads:
        told = [
            threads.submit(world.story.operations.tell, "partners", body, key=key)
            for _ in range(16)
        ]
        answers = [each.result() for each in told]

    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.json()["id"] for answer in answers if answer.is_success}) == 1
    assert all(
        answer.json()["type"] == "urn:problem:command-still-running"
        for answer in answers
        if not answer.is_success
    )


def first_page(world: World, operation: Operation) -> dict[str, Any]:
    answer = world.asks.send(operation, params=operation.needed | {"limit": "1"})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.fixture(scope="module")
def cursors(world: World) -> dict[str, str]:
    """By path, of the lists that have another page."""
    pages = {it.path: first_page(world, it)["next_cursor"] for it in world.lists}
    found = {path: cursor for path, cursor in pages.items() if cursor}
    assert len(found) > 5
    return found


def harmed(token: str) -> Iterator[str]:
    yield token[:-4]
    yield token[4:]
    yield token[: len(token) // 2]
    yield token + token
    middle = len(token) // 2
    yield token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1 :]


def test_a_cursor_goes_on_in_its_own_list_alone(world: World, cursors: dict[str, str]) -> None:
    for operation in world.lists:
        others = [cursor for path, cursor in cursors.items() if path != operation.path]
        for cursor in [*others, *harmed(next(iter(cursors.values())))]:
            answer = world.asks.send(operation, params=operation.needed | {"cursor": cursor})

            assert answer.status_code == 400, (str(operation), answer.text)
            assert answer.json()["type"] == "urn:problem:cursor-unreadable"


def test_a_cursor_is_its_partners_alone(world: World) -> None:
    page = world.alpha.admin.reads("contacts", limit=1)
    assert page["next_cursor"]

    answers = [
        world.borealis.admin.ask("contacts", cursor=cursor, limit=1)
        for cursor in (page["next_cursor"], "bm90aGluZw==")
    ]

    assert alike(answers[0], world.alpha.id) == alike(answers[1], world.alpha.id)
    assert answers[0].status_code == 400


def test_a_position_is_taken_whole_or_not_at_all(world: World, cursors: dict[str, str]) -> None:
    position = world.story.manager.does("alignments", {"name": "four"}).position

    for wrong in [*harmed(position), next(iter(cursors.values()))]:
        answer = world.story.manager.ask("alignments", seen=wrong)

        assert answer.status_code == 400, wrong
        assert answer.json()["type"] == "urn:problem:position-unreadable"


def test_a_position_of_another_partner_shows_nothing_of_it(world: World) -> None:
    foreign = world.alpha.seller.does("deals", world.story.deal(world.story.customer(), BY_HAND))
    world.story.settled()

    seen = world.borealis.seller.ask("deals", seen=foreign.position)
    unseen = world.borealis.seller.ask("deals")

    assert (seen.status_code, seen.content) == (unseen.status_code, unseen.content)


def test_a_foreign_partner_in_a_body_answers_like_a_missing_one(world: World) -> None:
    person = {"side": "partner", "name": "Eve", "language": "en", "roles": ["partner-seller"]}

    answers = {
        alike(
            world.borealis.admin.tell(
                "contacts", person | {"email": f"{uuid4().hex}@example.org", "partner_id": it}
            ),
            it,
        )
        for it in (world.alpha.id, str(uuid4()))
    }

    assert len(answers) == 1
    assert {status for status, _ in answers} <= {403, 404}


@pytest.mark.parametrize("name", ["partner_id", "subject"])
def test_a_foreign_partner_in_a_query_answers_like_a_missing_one(world: World, name: str) -> None:
    own = {"partner_id": world.alpha.id, "subject": world.records["deals"]}[name]
    for operation in world.lists:
        if name in operation.parameters("query") and "partner-admin" in operation.roles:
            bearer = f"Bearer {world.borealis.admin.token}"
            answers = {
                alike(world.asks.send(operation, params={name: it}, authorization=bearer), it)
                for it in (own, str(uuid4()))
            }

            assert answers == {(200, '{"items":[],"next_cursor":null}')}, str(operation)
