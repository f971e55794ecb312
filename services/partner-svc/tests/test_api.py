"""partner-svc as its users see it: over HTTP, with tokens."""

from typing import Any

import pytest

from .served import PartnerService

ALPHA: dict[str, Any] = {
    "legal_name": "Alpha Systemhaus GmbH",
    "country": "DE",
    "types": ["reseller"],
    "currency": "EUR",
    "time_zone": "Europe/Berlin",
    "duns": "315369934",
}
BEN: dict[str, Any] = {
    "side": "partner",
    "name": "Ben Beispiel",
    "email": "Ben@alpha.example",
    "phone": "+49 89 123456",
    "language": "de",
    "roles": ["partner-seller"],
}


async def registered(service: PartnerService, profile: dict[str, Any] = ALPHA) -> str:
    manager = await service.token("channel-account-manager")
    answer = await service.tell(manager, "/v1/partners", profile)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def test_a_partner_is_registered_approved_suspended_and_reinstated(
    service: PartnerService,
) -> None:
    partner_id = await registered(service)
    operations = await service.token("channel-operations")

    for verb, body in (
        ("approve", {"terms_version": "2027-1"}),
        ("suspend", {"reason_code": "unpaid-fees", "note": "three invoices open"}),
    ):
        answer = await service.tell(operations, f"/v1/partners/{partner_id}/{verb}", body)
        assert answer.status_code == 200, answer.text

    shown = await service.ask(operations, f"/v1/partners/{partner_id}")
    assert shown.json()["status"] == "suspended"
    assert shown.json()["note"] == "three invoices open"
    assert shown.headers["ETag"] == '"3"'
    back = await service.tell(operations, f"/v1/partners/{partner_id}/reinstate", {})
    assert back.json() == {"id": partner_id, "version": 4}


MANY: dict[str, list[Any]] = {
    "trading_names": [f"Alpha {number}" for number in range(21)],
    "types": ["reseller"] * 21,
    "domains": [f"alpha-{number}.example" for number in range(21)],
    "external_ids": [{"system": "crm", "id": f"A-{number}"} for number in range(21)],
}


@pytest.mark.parametrize("field", MANY)
async def test_of_anything_a_partner_has_at_most_twenty(
    service: PartnerService, field: str
) -> None:
    manager = await service.token("channel-account-manager")

    answer = await service.tell(manager, "/v1/partners", ALPHA | {field: MANY[field]})
    fewer = await service.tell(manager, "/v1/partners", ALPHA | {field: MANY[field][:20]})

    assert [error["field"] for error in answer.json()["errors"]] == [f"/body/{field}"]
    assert fewer.status_code == 201, fewer.text


async def test_who_registered_a_partner_does_not_approve_it_whatever_the_role(
    service: PartnerService,
) -> None:
    operations = await service.token("channel-operations")
    answer = await service.tell(operations, "/v1/partners", ALPHA)
    path = f"/v1/partners/{answer.json()['id']}/approve"

    alone = await service.tell(operations, path, {"terms_version": "2027-1"})
    colleague = await service.token("channel-operations", person="Clara")
    together = await service.tell(colleague, path, {"terms_version": "2027-1"})

    assert (alone.status_code, alone.json()["type"]) == (403, "urn:problem:four-eyes-needed")
    assert together.status_code == 200


async def test_a_second_registration_under_the_same_key_names_the_first(
    service: PartnerService,
) -> None:
    first = await registered(service)
    manager = await service.token("channel-account-manager")

    answer = await service.tell(manager, "/v1/partners", ALPHA | {"legal_name": "Other AG"})

    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:problem:key-taken"
    assert (answer.json()["scope"], answer.json()["held_by"]) == ("duns", first)


async def test_a_code_that_does_not_exist_is_named_with_its_field(service: PartnerService) -> None:
    manager = await service.token("channel-account-manager")

    answer = await service.tell(manager, "/v1/partners", ALPHA | {"currency": "ABC"})

    assert answer.status_code == 422
    assert (answer.json()["field"], answer.json()["value"]) == ("currency", "ABC")


async def test_a_repeated_registration_answers_as_the_first_time(service: PartnerService) -> None:
    manager = await service.token("channel-account-manager")

    first, second = [
        await service.tell(manager, "/v1/partners", ALPHA, key="one and the same") for _ in "12"
    ]

    assert first.json() == second.json()
    assert second.headers["Idempotent-Replayed"] == "true"


async def test_a_partners_people_see_their_own_partner_and_none_else(
    service: PartnerService,
) -> None:
    alpha = await registered(service)
    borealis = await registered(service, ALPHA | {"legal_name": "Borealis", "duns": None})
    admin = await service.token("partner-admin", alpha)

    own = await service.ask(admin, f"/v1/partners/{alpha}")
    others = await service.ask(admin, f"/v1/partners/{borealis}")
    listed = await service.ask(admin, "/v1/partners")

    assert own.status_code == 200
    assert others.status_code == 404
    assert [each["partner_id"] for each in listed.json()["items"]] == [alpha]


async def test_partners_are_listed_page_by_page_with_filters(service: PartnerService) -> None:
    for name in ("Cobalt", "Alpha", "Borealis"):
        await registered(service, ALPHA | {"legal_name": name, "duns": None})
    operations = await service.token("channel-operations")

    first = await service.ask(operations, "/v1/partners", limit=2, country="DE")
    cursor = first.json()["next_cursor"]
    rest = await service.ask(operations, "/v1/partners", limit=2, country="DE", cursor=cursor)

    names = [each["legal_name"] for each in first.json()["items"] + rest.json()["items"]]
    assert names == ["Alpha", "Borealis", "Cobalt"]
    assert rest.json()["next_cursor"] is None
    assert (await service.ask(operations, "/v1/partners", status="active")).json()["items"] == []


async def test_a_contact_is_invited_accepts_and_is_shown_by_name_to_colleagues(
    service: PartnerService,
) -> None:
    alpha = await registered(service)
    admin = await service.token("partner-admin", alpha)

    invited = await service.tell(admin, "/v1/contacts", BEN | {"partner_id": alpha})
    contact_id = invited.json()["id"]
    accepted = await service.tell(admin, f"/v1/contacts/{contact_id}/accept")
    shown = await service.ask(admin, f"/v1/contacts/{contact_id}")

    assert (invited.status_code, accepted.status_code) == (201, 200)
    assert (shown.json()["name"], shown.json()["email"]) == ("Ben Beispiel", "Ben@alpha.example")
    assert shown.json()["status"] == "active"


async def test_no_fact_holds_a_name_or_an_address_in_clear(service: PartnerService) -> None:
    alpha = await registered(service)
    admin = await service.token("partner-admin", alpha)
    await service.tell(admin, "/v1/contacts", BEN | {"partner_id": alpha})

    stored = " ".join(fact.fact.model_dump_json() for fact in service.stored())

    assert "Ben" not in stored
    assert "alpha.example" not in stored
    assert "123456" not in stored


async def test_an_address_is_invited_once_whatever_its_capitals(service: PartnerService) -> None:
    alpha = await registered(service)
    admin = await service.token("partner-admin", alpha)
    body = BEN | {"partner_id": alpha}

    await service.tell(admin, "/v1/contacts", body)
    again = await service.tell(admin, "/v1/contacts", body | {"email": "ben@ALPHA.example"})

    assert (again.status_code, again.json()["scope"]) == (409, "e-mail")


async def test_the_last_partner_admin_keeps_the_role_until_there_is_another(
    service: PartnerService,
) -> None:
    alpha = await registered(service)
    admin = await service.token("partner-admin", alpha)
    [anna] = (await service.ask(admin, "/v1/contacts")).json()["items"]
    path, role = f"/v1/contacts/{anna['contact_id']}/revoke-role", {"role": "partner-admin"}

    alone = await service.tell(admin, path, role)
    await service.token("partner-admin", alpha, person="Ben")
    relieved = await service.tell(admin, path, role)

    assert alone.json()["type"] == "urn:problem:last-partner-admin"
    assert relieved.status_code == 200


VENDOR: dict[str, Any] = BEN | {"side": "vendor", "roles": ["integrator"]}
NOT_THEIRS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("finance-approver", "/v1/partners", ALPHA),
    ("channel-account-manager", "/v1/partners/{id}/approve", {"terms_version": "1"}),
    ("channel-account-manager", "/v1/partners/{id}/suspend", {"reason_code": "x"}),
    ("partner-seller", "/v1/contacts", BEN),
    ("integrator", "/v1/contacts", BEN),
    ("channel-account-manager", "/v1/contacts", VENDOR),
)


async def test_a_command_takes_a_role(service: PartnerService) -> None:
    alpha = await registered(service)

    for role, path, body in NOT_THEIRS:
        token = await service.token(role, alpha if role.startswith("partner") else None)
        answer = await service.tell(token, path.format(id=alpha), body)
        refused = (answer.status_code, answer.json()["type"])
        assert refused == (403, "urn:problem:role-needed"), (role, path)


async def test_operations_give_a_manager_a_limit_and_a_partner(service: PartnerService) -> None:
    alpha = await registered(service)
    operations = await service.token("channel-operations")
    new = BEN | {"side": "vendor", "roles": ["channel-account-manager"]}
    otto = (await service.tell(operations, "/v1/contacts", new)).json()["id"]
    await service.tell(operations, f"/v1/contacts/{otto}/accept")
    limit = {"kind": "deal-approval", "currency": "EUR", "amount_minor": 5_000_000}

    limited = await service.tell(operations, f"/v1/contacts/{otto}/set-limit", limit)
    assigned = await service.tell(
        operations, f"/v1/partners/{alpha}/assign-channel-manager", {"contact_id": otto}
    )

    assert (limited.status_code, assigned.status_code) == (200, 200)
    shown = await service.ask(operations, f"/v1/contacts/{otto}")
    assert shown.json()["limits"] == [limit]


async def test_every_fault_of_a_body_is_named_at_once(service: PartnerService) -> None:
    manager = await service.token("channel-account-manager")

    answer = await service.tell(manager, "/v1/partners", {"legal_name": "", "colour": "red"})

    fields = {error["field"] for error in answer.json()["errors"]}
    assert answer.status_code == 422
    assert {"/body/legal_name", "/body/colour", "/body/country"} <= fields
