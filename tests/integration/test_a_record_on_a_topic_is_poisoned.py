"""Somebody writes what no service would: all others go on, and an operator sees it and acts."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from chassis.testing.topics import FORGED_FROM, Event

from .story import Partner, Story, eventually

READERS = ("deal-svc", "territory-svc", "notify-svc")
DEAL_REGISTERED = "prm.deal.DealRegistered.v1"
LONG = "9" * 5_000
Place = tuple[int, int]  # partition and offset


@dataclass(frozen=True)
class Poison:
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, str]


def forged(value: bytes | None, key: str | None = None, **changed: str) -> Poison:
    """As deal-svc writes it, right down to the chain, of a deal that nobody knows."""
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    headers = {
        "ce_specversion": "1.0",
        "ce_id": str(uuid4()),
        "ce_type": "prm.deal.DealRegistered.v1",
        "ce_source": "urn:prm:deal-svc",
        "ce_subject": str(uuid4()),
        "ce_time": now,
        "ce_recordedat": now,
        "ce_dataschema": "urn:prm:schema:prm.deal.DealRegistered.v1",
        "ce_sequence": "1",
        "ce_position": str(FORGED_FROM),
        "ce_correlationid": str(uuid4()),
        "ce_commandid": str(uuid4()),
        "ce_actor": str(uuid4()),
        "content-type": "application/json",
    } | changed
    headers = {"ce_chain": chain_of(value, headers)} | headers
    return Poison((key or headers["ce_subject"]).encode(), value, headers)


def chain_of(value: bytes | None, headers: Mapping[str, str]) -> str:
    names = ("ce_subject", "ce_sequence", "ce_type", "ce_id", "ce_time", "ce_actor")
    parts = [*(headers[name].encode() for name in names), value or b""]
    digest = sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).digest()
    return sha256(bytes(32) + digest).hexdigest()


def lacking(name: str) -> Poison:
    whole = forged(b"{}")
    return Poison(whole.key, b"{}", {k: text for k, text in whole.headers.items() if k != name})


POISONS = {
    "null": forged(None),
    "empty": forged(b""),
    "no JSON": forged(b"\xff\x00{"),
    "another shape": forged(b'{"partner_id": 7}'),
    "no object": forged(b"[]"),
    "a version of its type to come": forged(b"{}", ce_type="prm.deal.DealRegistered.v99"),
    "no headers at all": Poison(str(uuid4()).encode(), b"{}", {}),
    "no key": Poison(None, b"{}", forged(b"{}").headers),
    "no type": lacking("ce_type"),
    "no sequence": lacking("ce_sequence"),
    "no actor": lacking("ce_actor"),
    "a sequence that is no number": forged(b"{}", ce_sequence="one"),
    "a sequence past all bounds": forged(b"{}", ce_sequence="9" * 30),
    "a position past all bounds": forged(b"{}", ce_position="9" * 30),
    "a subject that is no id": forged(b"{}", ce_subject=f"deal {uuid4()}"),
    "another key than its subject": forged(b"{}", key=str(uuid4())),
    "a chain that is none": forged(b"{}", ce_chain="zz"),
    "the chain of something else": forged(b"{}", ce_chain="00" * 32),
    "versions before it missing": forged(b"{}", ce_sequence="7"),
    "another writer": forged(b"{}", ce_source="urn:prm:somebody"),
    "a time without a zone": forged(b'{"partner_id": 7}', ce_time="2027-01-01T00:00:00"),
    "a zero byte in its type": forged(b"{}", ce_type="prm.deal.DealRegistered\x00.v1"),
    "a zero byte in a header's name": forged(b'{"partner_id": 7}', **{"x\x00y": "z"}),
    "a zero byte in its text": forged(b'{"partner_id": "\\u0000"}'),
    "half a character": forged(b'{"partner_id": "\\ud800"}'),
    "no number": forged(b'{"partner_id": NaN}'),
    "JSON deeper than anybody reads": forged(b'{"based_on":' + b"[" * 100_000),
    "a time before all time": forged(b"{}", ce_time="0001-01-01T00:00:00+23:59"),
    "recorded after all time": forged(b"{}", ce_recordedat="9999-12-31T23:59:59-23:59"),
    "a version of its type past all bounds": forged(b"{}", ce_type=f"{DEAL_REGISTERED[:-1]}{LONG}"),
    "a key without end": forged(b"{}", key="k" * 100_000),
    "a trace without end": forged(b'{"partner_id": 7}', ce_traceparent="t" * 100_000),
    "as large as the topic takes": forged(b" " * (2 * 1024 * 1024 - 2_000)),
}


@pytest.fixture(scope="module")
def alpha(story: Story) -> Partner:
    return story.partners(1)[0]


@pytest.fixture(autouse=True, scope="module")
def facts_behind(story: Story, alpha: Partner) -> Iterator[None]:
    """deal-svc starts only where every partition ends with a fact of its own: so they do."""
    yield
    while forged_ends(story):
        story.becomes(story.registers(alpha, story.customer()), "approved")


def forged_ends(story: Story) -> list[Event]:
    ends = {event.partition: event for event in story.topics.records("prm.deals")}
    return [event for event in ends.values() if not event.is_genuine]


@pytest.fixture(scope="module")
def poisoned(story: Story) -> dict[str, Place]:
    """All kinds one after the other: where each of them lies."""
    return {kind: write(story, poison) for kind, poison in POISONS.items()}


def test_all_others_go_on(story: Story, alpha: Partner, poisoned: dict[str, Place]) -> None:
    deals = [story.registers(alpha, story.customer()) for _ in range(10)]

    for deal in deals:
        story.becomes(deal, "approved")
        eventually(lambda: ("deal-approved", deal) in story.told(alpha.seller))  # noqa: B023
    story.settled()
    assert {name: it.reasons for name, it in story.platform.status().items() if not it.ready} == {}


@pytest.mark.parametrize("kind", POISONS)
def test_the_operator_sees_it_with_a_reason(
    story: Story, poisoned: dict[str, Place], kind: str
) -> None:
    for reader in READERS:
        letters = eventually(lambda: letters_of(story, reader, poisoned[kind]))  # noqa: B023
        assert all(letter["reason"] for letter in letters)


def test_a_fact_of_an_unknown_name_is_passed_over(story: Story, alpha: Partner) -> None:
    place = write(story, forged(b"{}", ce_type="prm.deal.DealTeleported.v1"))

    story.becomes(story.registers(alpha, story.customer()), "approved")

    story.settled()
    assert not [reader for reader in READERS if letters_of(story, reader, place)]


def test_the_topic_of_dead_letters_shows_it_as_it_came(story: Story) -> None:
    given = Poison(str(uuid4()).encode(), b"{ \xff", {"x": "y"})

    write(story, given)

    for reader in READERS:
        letters = eventually(
            lambda: [
                it
                for it in story.topics.records(f"prm.{reader}.dead-letters")  # noqa: B023
                if it.key == given.key
            ]
        )
        assert [(it.value, it.headers["x"]) for it in letters] == [(given.value, "y")]
        assert letters[0].headers["prm_topic"] == "prm.deals"
        assert "ce_" in letters[0].headers["prm_reason"]


def test_the_command_line_lists_shows_and_discards_it(story: Story) -> None:
    place = write(story, lacking("ce_sequence"))
    [letter] = eventually(lambda: letters_of(story, "notify-svc", place))
    number = str(letter["id"])

    listed = prm(story, "dlq", "list", "--service", "notify-svc", "--state", "dead")
    shown = prm(story, "dlq", "show", "notify-svc", number)
    prm(story, "dlq", "discard", "notify-svc", number)

    assert [line for line in listed.splitlines() if line.split()[1:2] == [number]]
    assert "ce_sequence" in shown
    [letter] = letters_of(story, "notify-svc", place)
    assert letter["state"] == "discarded"


def test_a_deal_whose_next_fact_was_forged_goes_on_when_that_is_discarded(
    story: Story, alpha: Partner
) -> None:
    deal = story.registers(alpha, story.customer())
    story.becomes(deal, "approved")
    [*_, last] = story.topics.facts("prm.deals", deal)
    next_one = {"ce_subject": deal, "ce_sequence": str(last.version + 1), "ce_chain": "00" * 32}
    place = write(story, forged(b"{}", ce_type="prm.deal.DealWithdrawn.v1", **next_one))
    letters = {
        reader: eventually(lambda: letters_of(story, reader, place))  # noqa: B023
        for reader in READERS
    }
    withdrawn = alpha.seller.does(f"deals/{deal}/withdraw")

    parked = story.manager.ask(f"deals/{deal}", seen=withdrawn.position)
    for reader, each in letters.items():
        for letter in each:
            story.platform.client.dead_letter(reader, str(letter["id"]), "discard")

    assert (parked.status_code, parked.json()["type"]) == (503, "urn:problem:parked")
    story.becomes(deal, "withdrawn")


def write(story: Story, poison: Poison) -> Place:
    return story.topics.write("prm.deals", poison.key, poison.value, poison.headers)


def letters_of(story: Story, service: str, place: Place) -> list[dict[str, Any]]:
    """What the service says of this record: one letter, or one for each of its tables."""
    letters = story.platform.client.dead_letters(service, None, 200)
    return [it for it in letters if (it["topic"], it["partition"], it["offset"]) == at(place)]


def at(place: Place) -> tuple[str, int, int]:
    return ("prm.deals", *place)


def prm(story: Story, *arguments: str) -> str:
    """What the operator's command line answers."""
    command = [str(Path(sys.executable).with_name("prm")), *arguments]
    environment = {"PRM_HOME": str(story.platform.home), "PRM_BACKEND": "process"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return done.stdout
