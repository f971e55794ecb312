"""deal-svc as its users see it: over HTTP, with tokens."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from chassis.context import Actor
from deal_svc.queries.deals import CustomerAsNamed
from prm_contracts.receipts import flaws_of

from .cast import (
    ADMIN,
    BACKUP,
    CLOSE,
    COLLEAGUE,
    FIREWALL,
    MANAGER,
    OPERATIONS,
    OUTSIDE,
    RIVAL,
    SELLER,
)
from .platform import Caller

HOFFMANN: dict[str, Any] = {
    "customer": {"name": "Hoffmann Logistik GmbH", "country": "DE", "postal_code": "80331"},
    "lines": [{"product_id": str(BACKUP), "quantity": 10, "unit_price_minor": 1_800_000}],
    "currency": "EUR",
    "expected_close_on": CLOSE.isoformat(),
    "customer_contact": "Anna Hoffmann, anna@hoffmann.example",
    "sales_activity": "two workshops",
}
SMALL = HOFFMANN | {
    "lines": [{"product_id": str(BACKUP), "quantity": 1, "unit_price_minor": 1_000_000}]
}
BOTH = HOFFMANN | {
    "lines": [
        {"product_id": str(product), "quantity": 1, "unit_price_minor": 1_000_000}
        for product in (BACKUP, FIREWALL)
    ]
}


async def registered(caller: Caller, actor: Actor = SELLER, body: Any = HOFFMANN) -> str:
    answer = await caller.tell(actor, "/v1/deals", body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def checked(caller: Caller, deal_id: str, *conflicts: Any) -> None:
    await caller.service.settle()
    await caller.service.checked(UUID(deal_id), *conflicts)


async def shown(caller: Caller, actor: Actor, deal_id: str) -> Any:
    answer = await caller.ask(actor, f"/v1/deals/{deal_id}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_deal_is_registered_checked_and_approved(caller: Caller) -> None:
    deal_id = await registered(caller)
    await checked(caller, deal_id)

    answer = await caller.tell(MANAGER, f"/v1/deals/{deal_id}/approve", {})

    assert answer.status_code == 200, answer.text
    deal = await shown(caller, SELLER, deal_id)
    assert deal["status"] == "approved"
    assert deal["exclusive_until"]["local_date"] == "2027-05-30"
    assert deal["discount_bp"] == 800
    assert deal["decision"]["reason_code"] == "approved"
    assert deal["customer_contact"] == HOFFMANN["customer_contact"]
    assert deal["sales_activity"] == "two workshops"


async def test_a_partner_never_sees_whom_it_meets(caller: Caller) -> None:
    first = await registered(caller)
    second = await registered(caller, RIVAL)
    await checked(caller, second)

    for_partner = await shown(caller, RIVAL, second)
    for_vendor = await shown(caller, MANAGER, second)

    assert (for_partner["status"], for_partner["place"]) == ("queued", 2)
    assert for_partner["conflicts"] == [
        {"kind": "DUPLICATE_DEAL", "resolution": "queue", "rule_id": "first-claimed-first-served"}
    ]
    hidden = {"resolved", "claims", "step", "check_id", "verdict"}
    assert hidden.isdisjoint(for_partner)
    assert set(for_partner["customer"]) == set(CustomerAsNamed.model_fields)
    assert all(told not in str(for_partner) for told in (first, str(SELLER.tenant_id)))
    assert for_vendor["resolved"]["band"] == "exact"
    assert for_vendor["conflicts"][0]["evidence"] == {"place": 2}


async def test_a_rejection_names_its_rule_to_the_partner(caller: Caller) -> None:
    deal_id = await registered(caller)

    await checked(caller, deal_id, OUTSIDE)

    decision = (await shown(caller, SELLER, deal_id))["decision"]
    assert decision == {
        "is_automatic": True,
        "reason_code": "territory",
        "rule_id": "outside-territory",
        "policy_version": "default-1",
    }


async def test_a_person_rejects_with_a_note_that_the_partner_reads(caller: Caller) -> None:
    deal_id = await registered(caller)
    await checked(caller, deal_id)

    body = {"reason_code": "tender", "note": "a public tender is open"}
    answer = await caller.tell(OPERATIONS, f"/v1/deals/{deal_id}/reject", body)

    assert answer.status_code == 200, answer.text
    deal = await shown(caller, SELLER, deal_id)
    assert (deal["status"], deal["note"]) == ("rejected", "a public tender is open")


async def test_deals_are_listed_by_whose_they_are(caller: Caller) -> None:
    first = await registered(caller)
    second = await registered(caller, RIVAL)

    listed = {}
    for actor in (SELLER, COLLEAGUE, ADMIN, RIVAL, MANAGER):
        answer = await caller.ask(actor, "/v1/deals")
        listed[actor.id] = [deal["deal_id"] for deal in answer.json()["items"]]

    assert listed == {
        SELLER.id: [first],
        COLLEAGUE.id: [],
        ADMIN.id: [first],
        RIVAL.id: [second],
        MANAGER.id: [second, first],
    }


async def test_the_vendor_filters_deals_by_status_and_partner(caller: Caller) -> None:
    deal_id = await registered(caller)
    await registered(caller, RIVAL)
    await checked(caller, deal_id)

    in_review = await caller.ask(MANAGER, "/v1/deals", status="in_review")
    rivals = await caller.ask(MANAGER, "/v1/deals", partner_id=str(RIVAL.tenant_id))

    assert [deal["deal_id"] for deal in in_review.json()["items"]] == [deal_id]
    assert [deal["partner_id"] for deal in rivals.json()["items"]] == [str(RIVAL.tenant_id)]


@pytest.mark.parametrize("path", ["", "/receipt"])
async def test_another_partners_deal_answers_like_a_missing_one(caller: Caller, path: str) -> None:
    deal_id = await registered(caller)

    answer = await caller.ask(RIVAL, f"/v1/deals/{deal_id}{path}")

    assert (answer.status_code, answer.json()["type"]) == (404, "urn:problem:deal-not-found")


async def test_a_repeated_registration_answers_with_the_first_one(caller: Caller) -> None:
    first = await caller.tell(SELLER, "/v1/deals", HOFFMANN, key="once")

    again = await caller.tell(SELLER, "/v1/deals", HOFFMANN, key="once")

    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["Idempotent-Replayed"] == "true"


async def test_every_wrong_field_is_named_at_once(caller: Caller) -> None:
    body = HOFFMANN | {"currency": "euro", "lines": [], "amount_minor": 1}

    answer = await caller.tell(SELLER, "/v1/deals", body)

    assert answer.status_code == 422
    fields = {error["field"] for error in answer.json()["errors"]}
    assert fields == {"/body/currency", "/body/lines", "/body/amount_minor"}


async def test_sellers_do_not_decide(caller: Caller) -> None:
    deal_id = await registered(caller)

    answer = await caller.tell(SELLER, f"/v1/deals/{deal_id}/approve", {})

    assert (answer.status_code, answer.json()["type"]) == (403, "urn:problem:role-needed")


async def test_a_version_that_has_passed_is_refused(caller: Caller) -> None:
    deal_id = await registered(caller)
    await checked(caller, deal_id)

    answer = await caller.tell(MANAGER, f"/v1/deals/{deal_id}/approve", {}, if_match='"1"')

    assert answer.status_code == 412


async def test_a_person_asks_for_another_check(caller: Caller) -> None:
    deal_id = await registered(caller)

    answer = await caller.tell(MANAGER, f"/v1/deals/{deal_id}/check-again", {})

    assert answer.json()["version"] == 2
    assert (await shown(caller, SELLER, deal_id))["subject_version"] == 2


async def test_a_withdrawn_deal_shows_its_line_to_the_vendor(caller: Caller) -> None:
    first = await registered(caller, body=SMALL)
    await checked(caller, first)
    second = await registered(caller, RIVAL)

    await caller.tell(SELLER, f"/v1/deals/{first}/withdraw", {"note": "budget gone"})

    line = await caller.ask(MANAGER, "/v1/exclusivity-claims", deal_id=second)
    claims = line.json()["items"]
    assert [(claim["deal_id"], claim["status"], claim["left_by"]) for claim in claims] == [
        (first, "left", "withdrawn"),
        (second, "waiting", None),
    ]


async def test_the_place_that_is_shown_is_the_one_of_now(caller: Caller) -> None:
    first, second, third = [await registered(caller, actor) for actor in (SELLER, RIVAL, SELLER)]
    for deal_id in (first, second, third):
        await checked(caller, deal_id)

    await caller.tell(RIVAL, f"/v1/deals/{second}/withdraw", {})

    listed = await caller.ask(SELLER, "/v1/deals", status="queued")
    assert (await shown(caller, SELLER, third))["place"] == 2
    assert [(deal["deal_id"], deal["place"]) for deal in listed.json()["items"]] == [(third, 2)]


async def test_a_receipt_proves_the_place_of_every_claim(caller: Caller, tmp_path: Path) -> None:
    await registered(caller)
    second = await registered(caller, RIVAL, BOTH)

    answer = await caller.ask(RIVAL, f"/v1/deals/{second}/receipt")

    receipt = answer.json()
    assert flaws_of(receipt) == []
    ahead = {line["family"]: len(line["digests"]) - 1 for line in receipt["lines"]}
    assert ahead == {"backup": 1, "firewall": 0}
    assert str(SELLER.tenant_id) not in answer.text
    (tmp_path / "receipt.json").write_text(answer.text)
    command = [sys.executable, "-m", "prm_contracts.receipts", str(tmp_path / "receipt.json")]
    checked_alone = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (checked_alone.returncode, checked_alone.stdout) == (0, "the receipt holds\n")


@pytest.mark.parametrize("forged", ["value", "order", "chain", "hidden", "other"])
async def test_a_forged_receipt_is_found_out(caller: Caller, forged: str) -> None:
    await registered(caller)
    second = await registered(caller, RIVAL)
    answer = await caller.ask(RIVAL, f"/v1/deals/{second}/receipt")
    receipt = json.loads(answer.text)
    [line] = receipt["lines"]

    match forged:
        case "value":
            line["own_event"]["value"] = line["own_event"]["value"].replace("DE", "FR")
        case "order":
            line["digests"].reverse()
        case "chain":
            line["chain"] = "0" * 64
        case "hidden":
            del line["digests"][0]
        case "other":
            receipt["deal_id"] = "00000000-0000-0000-0000-000000000001"

    assert flaws_of(receipt)


async def test_an_external_id_names_one_product(caller: Caller) -> None:
    body = {"code": "apac", "name": "APAC 2027", "currency": "SGD"}
    book = (await caller.tell(OPERATIONS, "/v1/price-books", body)).json()["id"]
    family = {"family": "storage", "name": "Storage"}
    await caller.tell(OPERATIONS, f"/v1/price-books/{book}/define-family", family)
    product = {
        "name": "Storage",
        "family": "storage",
        "unit": "box",
        "list_price_minor": 5,
        "external_ids": [{"system": "erp", "id": "4711"}],
    }
    await caller.tell(OPERATIONS, f"/v1/price-books/{book}/list-product", product | {"sku": "st-1"})

    answer = await caller.tell(
        OPERATIONS, f"/v1/price-books/{book}/list-product", product | {"sku": "st-2"}
    )

    assert (answer.status_code, answer.json()["scope"]) == (409, "product-external-id")


async def test_a_price_book_lists_products_of_its_families(caller: Caller) -> None:
    body = {"code": "apac", "name": "APAC 2027", "currency": "SGD"}
    book = (await caller.tell(OPERATIONS, "/v1/price-books", body)).json()["id"]
    family = {"family": "storage", "name": "Storage"}
    await caller.tell(OPERATIONS, f"/v1/price-books/{book}/define-family", family)
    product = {
        "sku": "st-1",
        "name": "Storage 1",
        "family": "storage",
        "unit": "box",
        "list_price_minor": 5,
    }

    answer = await caller.tell(OPERATIONS, f"/v1/price-books/{book}/list-product", product)

    product_id = answer.json()["product_id"]
    one = await caller.ask(SELLER, f"/v1/products/{product_id}")
    listed = await caller.ask(SELLER, "/v1/products", family="storage")
    shown_book = (await caller.ask(SELLER, f"/v1/price-books/{book}")).json()
    books = await caller.ask(SELLER, "/v1/price-books")
    assert one.json()["sku"] == "st-1"
    assert listed.json()["items"] == [one.json()]
    assert (shown_book["families"], shown_book["products"]) == ([family], 1)
    assert shown_book in books.json()["items"]


async def test_a_price_book_code_is_unique(caller: Caller) -> None:
    body = {"code": "apac", "name": "APAC 2027", "currency": "SGD"}
    await caller.tell(OPERATIONS, "/v1/price-books", body)

    answer = await caller.tell(OPERATIONS, "/v1/price-books", body)

    assert (answer.status_code, answer.json()["type"]) == (409, "urn:problem:key-taken")


@pytest.mark.parametrize("path", ["price-books", "products", "customers"])
async def test_what_is_not_there_is_not_found(caller: Caller, path: str) -> None:
    answer = await caller.ask(MANAGER, f"/v1/{path}/00000000-0000-0000-0000-000000000001")

    assert answer.status_code == 404


async def test_the_vendor_sees_the_customers_that_partners_named(caller: Caller) -> None:
    await registered(caller)
    alias = HOFFMANN | {
        "customer": {"name": "Hoffman Logistik", "country": "DE", "duns": "315369934"}
    }
    await registered(caller, RIVAL, alias)

    [customer] = (await caller.ask(MANAGER, "/v1/customers", country="DE")).json()["items"]

    assert customer["name"] == "Hoffmann Logistik GmbH"
    assert customer["names"] == ["hoffmann logistik", "hoffman logistik"]
    assert customer["duns"] == ["315369934"]
    one = await caller.ask(MANAGER, f"/v1/customers/{customer['customer_id']}")
    assert one.json() == customer


async def test_partners_see_no_list_of_customers(caller: Caller) -> None:
    answer = await caller.ask(SELLER, "/v1/customers")

    assert answer.status_code == 403
