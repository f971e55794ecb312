"""An answer is lost on its way; the caller asks again under the same Idempotency-Key."""

import socket
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from .story import Partner, Person, Story, eventually


@pytest.fixture(scope="module")
def alpha(story: Story) -> Partner:
    return story.partners(1)[0]


def tell_and_hang_up(person: Person, path: str, body: object, key: str) -> None:
    """Sends the whole request, to the byte as `tell` does, and is gone before the answer."""
    headers = {"Authorization": f"Bearer {person.token}", "Idempotency-Key": key}
    request = person.http.build_request("POST", person.url(path), json=body, headers=headers)
    lines = [
        f"POST {request.url.path} HTTP/1.1",
        *(f"{k}: {v}" for k, v in request.headers.items()),
    ]
    sent = "\r\n".join([*lines, "", ""]).encode() + request.read()
    where = (request.url.host, request.url.port or 80)
    with socket.create_connection(where, timeout=10) as connection:
        connection.sendall(sent)


def registered(story: Story, customer: dict[str, object]) -> list[str]:
    facts = story.topics.facts("prm.deals")
    return [
        it.subject
        for it in facts
        if it.name == "DealRegistered" and it.fact["customer"]["name"] == customer["name"]
    ]


def test_the_repeat_answers_with_the_first_outcome(story: Story, alpha: Partner) -> None:
    customer, key = story.customer(), str(uuid4())
    body = story.deal(customer)
    tell_and_hang_up(alpha.seller, "deals", body, key)
    [deal] = eventually(lambda: registered(story, customer), what="the deal on the topic")

    repeated = alpha.seller.tell("deals", body, key=key)

    assert (repeated.status_code, repeated.json()["id"]) == (201, deal)
    assert repeated.headers["Idempotent-Replayed"] == "true"
    story.becomes(deal, "approved")
    story.settled()
    assert registered(story, customer) == [deal]
    assert [it.name for it in story.line_of(deal)] == ["ExclusivityClaimed", "ExclusivityGranted"]


def test_an_answer_that_was_not_lost_is_not_marked(story: Story, alpha: Partner) -> None:
    answer = alpha.seller.tell("deals", story.deal(story.customer()))

    assert answer.status_code == 201
    assert "Idempotent-Replayed" not in answer.headers


def test_the_same_key_with_another_body_is_refused(story: Story, alpha: Partner) -> None:
    key = str(uuid4())
    first = alpha.seller.does("deals", story.deal(story.customer()), key=key)

    other = story.customer()
    answer = alpha.seller.tell("deals", story.deal(other), key=key)

    assert answer.status_code == 422
    assert "idempoten" in answer.json()["type"]
    story.becomes(first.id, "approved")
    assert registered(story, other) == []


def test_the_same_key_of_another_person_is_another_command(story: Story, alpha: Partner) -> None:
    key, body = str(uuid4()), story.deal(story.customer())

    deals = {person.does("deals", body, key=key).id for person in (alpha.seller, alpha.admin)}

    assert len(deals) == 2


def test_a_decision_is_repeated_although_the_deal_has_moved_on(
    story: Story, alpha: Partner
) -> None:
    deal, key = story.registers(alpha, story.customer()), str(uuid4())
    story.becomes(deal, "approved")
    first = alpha.seller.does(f"deals/{deal}/withdraw", {"note": "No budget."}, key=key)

    repeated = alpha.seller.tell(f"deals/{deal}/withdraw", {"note": "No budget."}, key=key)

    assert repeated.json() == {"id": deal, "version": first.version}
    assert repeated.headers["Idempotent-Replayed"] == "true"
    assert story.topics.names("prm.deals", deal).count("DealWithdrawn") == 1


def test_many_at_once_under_one_key_register_one_deal(story: Story, alpha: Partner) -> None:
    customer, key = story.customer(), str(uuid4())
    body = story.deal(customer)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: alpha.seller.tell("deals", body, key=key), range(8)))

    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.json()["id"] for answer in answers if answer.is_success}) == 1
    story.settled()
    assert len(registered(story, customer)) == 1
