"""territory-svc as its users see it: over HTTP, with tokens."""

from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest

from chassis.context import Actor

from .cast import ALPHA, BOREALIS, DEAL, MANAGER, OPERATIONS, registered
from .platform import Caller

SELLER = Actor(UUID(int=21), ALPHA, frozenset({"partner-seller"}))
GERMANY: dict[str, Any] = {
    "code": "germany",
    "name": "Germany",
    "rule": {"geographies": ["DE"]},
    "assignments": [{"partner_id": str(ALPHA), "role": "exclusive"}],
}
FRANCE: dict[str, Any] = {
    "code": "france",
    "name": "France",
    "rule": {"geographies": ["FR"]},
    "assignments": [{"partner_id": str(BOREALIS), "role": "exclusive"}],
}


async def drafted(caller: Caller, *definitions: dict[str, Any]) -> str:
    body = {"name": "Spring", "changes": [{"definition": each} for each in definitions]}
    answer = await caller.tell(MANAGER, "/v1/alignments", body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def activated(caller: Caller, *definitions: dict[str, Any]) -> str:
    alignment_id = await drafted(caller, *definitions)
    path = f"/v1/alignments/{alignment_id}"
    validated = await caller.tell(MANAGER, f"{path}/validate")
    etag = validated.headers["ETag"]
    for verb, if_match in (("approve", etag), ("activate", None)):
        answer = await caller.tell(OPERATIONS, f"{path}/{verb}", if_match=if_match)
        assert answer.status_code == 200, answer.text
    return alignment_id


def problem(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"]


async def test_an_alignment_is_drafted_validated_approved_and_activated(caller: Caller) -> None:
    alignment_id = await activated(caller, GERMANY, FRANCE)

    shown = await caller.ask(MANAGER, f"/v1/alignments/{alignment_id}")
    listed = await caller.ask(MANAGER, "/v1/territories", status="active")

    assert (shown.json()["status"], len(shown.json()["changes"])) == ("activated", 2)
    assert [each["code"] for each in listed.json()["items"]] == ["france", "germany"]
    assert shown.headers["ETag"].strip('"') == str(shown.json()["version"])


async def test_a_territory_is_taken_into_a_draft(caller: Caller) -> None:
    alignment_id = await drafted(caller)

    path = f"/v1/alignments/{alignment_id}/change-territory"
    answer = await caller.tell(MANAGER, path, {"definition": GERMANY})

    assert (answer.status_code, answer.json()) == (200, {"id": alignment_id, "version": 2})


@pytest.mark.parametrize("verb", ["approve", "activate"])
async def test_the_channel_manager_proposes_and_operations_decide(
    caller: Caller, verb: str
) -> None:
    alignment_id = await drafted(caller, GERMANY)

    answer = await caller.tell(MANAGER, f"/v1/alignments/{alignment_id}/{verb}", if_match='"2"')

    assert problem(answer) == (403, "urn:problem:role-needed")


async def test_an_approval_names_the_version_that_was_read(caller: Caller) -> None:
    alignment_id = await drafted(caller, GERMANY)
    path = f"/v1/alignments/{alignment_id}"
    await caller.tell(MANAGER, f"{path}/validate")

    blind = await caller.tell(OPERATIONS, f"{path}/approve")
    passed = await caller.tell(OPERATIONS, f"{path}/approve", if_match='"2"')

    assert (blind.status_code, passed.status_code) == (428, 412)


async def test_partners_do_not_propose(caller: Caller) -> None:
    answer = await caller.tell(SELLER, "/v1/alignments", {"name": "Mine"})

    assert problem(answer) == (403, "urn:problem:role-needed")


async def test_all_field_errors_of_a_draft_come_at_once(caller: Caller) -> None:
    wrong = {"name": " ", "changes": [{}, {"definition": GERMANY | {"colour": "red"}}]}

    answer = await caller.tell(MANAGER, "/v1/alignments", wrong)

    fields = {each["field"] for each in answer.json()["errors"]}
    assert answer.status_code == 422
    assert fields == {"/body/name", "/body/changes/0", "/body/changes/1/definition/colour"}


async def test_a_refusal_is_a_problem_with_its_evidence(caller: Caller) -> None:
    paris = FRANCE | {"rule": {"geographies": ["FR-75"]}, "code": "paris"}
    paris |= {"assignments": GERMANY["assignments"]}
    alignment_id = await drafted(caller, FRANCE, paris)
    path = f"/v1/alignments/{alignment_id}"
    validated = await caller.tell(MANAGER, f"{path}/validate")

    etag = validated.headers["ETag"]
    answer = await caller.tell(OPERATIONS, f"{path}/approve", if_match=etag)

    assert problem(answer) == (409, "urn:problem:alignment-not-validated")
    assert answer.json()["overlaps_found"] == 1


async def test_a_partner_sees_the_territories_that_it_works(caller: Caller) -> None:
    await activated(caller, GERMANY, FRANCE)

    mine = (await caller.ask(SELLER, "/v1/territories")).json()["items"]
    all_of_them = (await caller.ask(MANAGER, "/v1/territories", country="FR")).json()["items"]

    assert [each["code"] for each in mine] == ["germany"]
    foreign = await caller.ask(SELLER, f"/v1/territories/{all_of_them[0]['territory_id']}")
    assert problem(foreign) == (404, "urn:problem:territory-not-found")


async def test_alignments_are_for_the_vendor_only(caller: Caller) -> None:
    alignment_id = await activated(caller, GERMANY)

    answers = [
        await caller.ask(SELLER, "/v1/alignments"),
        await caller.ask(SELLER, f"/v1/alignments/{alignment_id}"),
    ]

    assert [answer.status_code for answer in answers] == [403, 403]


async def test_a_partner_reads_why_its_deal_conflicts_and_not_with_whom(caller: Caller) -> None:
    await activated(caller, FRANCE)
    await caller.service.deal_is_registered(DEAL, registered(ALPHA, country="FR"))

    answer = await caller.ask(SELLER, "/v1/conflict-checks", subject=str(DEAL))

    [check] = answer.json()["items"]
    assert [each["kind"] for each in check["conflicts"]] == ["EXCLUSIVE_OTHER"]
    assert str(BOREALIS) not in answer.text


async def test_lists_come_in_pages(caller: Caller) -> None:
    await activated(caller, GERMANY, FRANCE)

    first = (await caller.ask(MANAGER, "/v1/territories", limit=1)).json()
    second = (
        await caller.ask(MANAGER, "/v1/territories", limit=1, cursor=first["next_cursor"])
    ).json()

    assert [each["code"] for each in (*first["items"], *second["items"])] == ["france", "germany"]
    assert second["next_cursor"] is None


async def test_what_does_not_exist_is_not_found(caller: Caller) -> None:
    missing = await caller.ask(MANAGER, f"/v1/alignments/{uuid4()}")

    assert problem(missing) == (404, "urn:problem:alignment-not-found")
