"""The checks that stories of faults end with can fail: each is shown what it must find."""

import json
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID, uuid5

import pytest

from chassis.testing.ledger import wrong_in_log
from chassis.testing.topics import Event

from .ledger import (
    fold,
    sellers_of,
    wrong_in_answers,
    wrong_in_checks,
    wrong_in_documents,
    wrong_in_lists,
    wrong_in_notifications,
    wrong_in_registrations,
    wrong_in_reviews,
)
from .load import Accepted

SPACE = UUID(int=0)
DEAL, OTHER, SELLER = (str(uuid5(SPACE, name)) for name in ("deal", "other", "seller"))


def event(name: str, version: int, position: int, of: str = DEAL, /, **value: object) -> Event:
    headers = {
        "ce_type": f"prm.deal.{name}.v1",
        "ce_id": f"event-{position}",
        "ce_subject": of,
        "ce_sequence": str(version),
        "ce_position": str(position),
        "ce_commandid": f"command-{position}",
    }
    return Event("prm.deals", 0, of.encode(), json.dumps(value).encode(), headers)


LOG = [
    event("DealRegistered", 1, 1),
    event("DealRegistered", 1, 2, OTHER),
    event("DealCleared", 2, 3, subject_version=1),
    event("DealApproved", 3, 4),
]


def test_a_whole_log_and_exact_repeats_are_well() -> None:
    assert list(wrong_in_log([*LOG, *LOG[1:]], head=4)) == []


Fault = Callable[[list[Event]], list[Event]]
FAULTS: dict[str, tuple[Fault, str]] = {
    "lost": (lambda log: log[:2] + log[3:], "never published"),
    "lost at the end": (lambda log: log[:3], "never published"),
    "doubled under another position": (
        lambda log: [*log, with_header(log[3], "ce_position", "5")],
        "3 follows 3",
    ),
    "repeated with other bytes": (
        lambda log: [*log, replace(log[3], value=b"{}  ")],
        "two contents",
    ),
    "reordered": (lambda log: [*log[:2], log[3], log[2]], "comes after"),
    "on two partitions": (lambda log: [*log[:3], replace(log[3], partition=1)], "two partitions"),
    "unknown to the store": (
        lambda log: [*log, event("DealRegistered", 1, 5, "third")],
        "does not have",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_a_log_is_found(name: str) -> None:
    plant, said = FAULTS[name]

    found = list(wrong_in_log(plant(LOG), head=4))

    assert any(said in each for each in found), found


def with_header(event: Event, name: str, value: str) -> Event:
    return replace(event, headers={**event.headers, name: value})


def test_an_acknowledged_command_that_is_not_on_its_topic_is_found() -> None:
    kept, lost = (
        Accepted("deals", "command-1", DEAL, 1),
        Accepted("deals", "command-9", SELLER, 1),
    )

    assert list(wrong_in_answers([kept], {"prm.deals": LOG})) == []
    assert list(wrong_in_answers([kept, lost], {"prm.deals": LOG})) == [f"lost: {lost}"]


def test_a_command_with_two_outcomes_is_found() -> None:
    twice = [*LOG[:1], with_header(LOG[1], "ce_commandid", "command-1")]

    [found] = wrong_in_answers([Accepted("deals", "command-1", DEAL, 1)], {"prm.deals": twice})

    assert found.startswith("doubled")


@pytest.mark.parametrize("times", [0, 2])
def test_a_check_that_is_missing_or_doubled_is_found(times: int) -> None:
    deal = [LOG[0], LOG[2]]
    check = event("TerritoryConflictChecked", 1, 9, OTHER, subject=DEAL, subject_version=1)

    found = list(wrong_in_checks(deal, [check] * times))

    assert list(wrong_in_checks(deal, [check])) == []
    assert found == [f"('{DEAL}', 1) was checked {times} times"]


@pytest.mark.parametrize("times", [0, 2])
def test_a_verdict_that_is_missing_or_doubled_is_found(times: int) -> None:
    check = event("TerritoryConflictChecked", 1, 9, OTHER, subject=DEAL, subject_version=1)

    found = list(wrong_in_checks([LOG[0], *[LOG[2]] * times], [check]))

    assert found == [f"('{DEAL}', 1) has {times} verdicts"]


def checked(position: int, by: int) -> Event:
    told = {"subject": DEAL, "subject_version": 1, "alignment_version": by}
    return event("TerritoryConflictChecked", position, position, OTHER, **told)


def cleared(version: int, by: int) -> Event:
    told = {"subject_version": 1, "alignment_version": by}
    return event("DealCleared", version, version, **told)


def test_each_map_may_answer_and_be_decided_on_once() -> None:
    deal = [LOG[0], cleared(2, by=1), cleared(3, by=2)]

    assert list(wrong_in_checks(deal, [checked(1, by=1), checked(2, by=2)])) == []
    [found] = wrong_in_checks(deal, [checked(1, by=1), checked(2, by=2), checked(3, by=2)])
    assert found.endswith("was checked 2 times")
    [found] = wrong_in_checks([*deal, cleared(4, by=2)], [checked(1, by=1), checked(2, by=2)])
    assert found.endswith("has 2 verdicts")


def test_a_deal_in_review_by_an_older_map_is_found() -> None:
    moved = event("AlignmentActivated", 1, 9, OTHER, alignment_version=2)
    in_review, again = [LOG[0], cleared(2, by=1)], cleared(3, by=2)
    withdrawn = event("DealWithdrawn", 3, 3)

    assert list(wrong_in_reviews([*in_review, again], [], [moved])) == []
    assert list(wrong_in_reviews([*in_review, withdrawn], [], [moved])) == []
    [found] = wrong_in_reviews(in_review, [], [moved])
    assert found == f"{DEAL} is in review by map 1, the newest is 2"


@pytest.mark.parametrize("times", [0, 2])
def test_a_notification_that_is_missing_or_doubled_is_found(times: int) -> None:
    told = event(
        "NotificationQueued",
        1,
        9,
        OTHER,
        cause={"event_id": "event-1"},
        recipient_id=SELLER,
        template="deal-registered",
    )

    found = list(wrong_in_notifications(LOG[:1], {DEAL: SELLER}, [told] * times))

    assert list(wrong_in_notifications(LOG[:1], {DEAL: SELLER}, [told])) == []
    assert found == [f"told {times} times: ('event-1', '{SELLER}', 'deal-registered')"]


PARTNER = str(uuid5(SPACE, "partner"))
DEALS = [
    event("DealRegistered", 1, 1, partner_id=PARTNER),
    event("DealRegistered", 1, 2, OTHER, partner_id="another"),
    event("DealCleared", 2, 3, subject_version=1),
    event("DealApprovalStepOpened", 3, 4),
]


@pytest.mark.parametrize(
    "answered", [[], [OTHER], [DEAL, OTHER]], ids=["nothing", "another", "one more"]
)
def test_a_registration_without_its_answer_and_an_answer_without_its_own_are_found(
    answered: list[str],
) -> None:
    sellers = sellers_of({PARTNER: SELLER}, DEALS)
    told = [Accepted("deals", f"command of {deal}", deal, 1) for deal in answered]
    right = [Accepted("deals", "command-1", DEAL, 1), Accepted("partners", "x", PARTNER, 1)]

    assert sellers == {DEAL: SELLER}
    assert list(wrong_in_registrations(right, sellers)) == []
    assert len(list(wrong_in_registrations(told, sellers))) == 1


def test_a_deal_that_the_list_lacks_or_shows_otherwise_is_found() -> None:
    right = {DEAL: ("in_review", 3)}
    wrong: list[dict[str, tuple[str, int]]] = [
        {},
        {DEAL: ("checking", 3)},
        {DEAL: ("in_review", 2)},
        right | {OTHER: ("checking", 1)},
    ]

    assert fold(DEALS, PARTNER) == right
    assert list(wrong_in_lists({PARTNER: right}, DEALS)) == []
    for shown in wrong:
        assert len(list(wrong_in_lists({PARTNER: shown}, DEALS))) == 1, shown


@pytest.mark.parametrize("etag", [None, '"2"', '"4"', "3"])
def test_a_document_that_is_not_at_its_last_fact_is_found(etag: str | None) -> None:
    facts = {"prm.deals": DEALS}

    assert list(wrong_in_documents({DEAL: '"3"', OTHER: '"1"'}, facts)) == []
    found = list(wrong_in_documents({DEAL: etag}, facts))
    assert found == [f"{DEAL} is shown as {etag}, and has 3"]
