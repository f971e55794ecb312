"""Who gets a token, what it says, and who can verify it."""

import asyncio
import base64
import logging
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt
import psycopg
import pytest

from chassis.testing.served import URL
from partner_svc.issuer import signing
from prm_contracts.partners import ContactInvited, LimitSet

from .served import SECRET, PartnerService, served
from .test_api import registered


async def verified(service: PartnerService, token: str) -> dict[str, Any]:
    """As any service does it: with the published keys only."""
    jwks = jwt.PyJWKSet.from_dict((await service.client.get("/.well-known/jwks.json")).json())
    head = jwt.get_unverified_header(token)
    assert head["typ"] == "at+jwt"
    claims: dict[str, Any] = jwt.decode(
        token, jwks[head["kid"]], algorithms=["ES256"], audience="prm", issuer=URL
    )
    return claims


def age_keys(dsn: str, by: timedelta) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("UPDATE signing_keys SET created_at = created_at - %s", (by,))


async def published_kids(service: PartnerService) -> list[str]:
    answer = await service.client.get("/.well-known/jwks.json")
    return [key["kid"] for key in answer.json()["keys"]]


async def test_a_token_says_who_in_which_role_of_which_partner_and_until_when(
    service: PartnerService,
) -> None:
    alpha = await registered(service)

    answer = await service.asked_token(role="partner-seller", partner_id=alpha)

    body, claims = answer.json(), await verified(service, answer.json()["access_token"])
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 3600)
    assert (body["scope"], claims["roles"]) == ("partner-seller", ["partner-seller"])
    assert claims["partner_id"] == alpha
    assert claims["exp"] - claims["iat"] == 3600
    assert {"nbf", "jti", "sub", "client_id"} <= claims.keys()
    assert answer.headers["Cache-Control"] == "no-store"


async def test_the_operators_person_is_an_active_contact_by_facts(service: PartnerService) -> None:
    claims = await verified(service, await service.token("channel-operations"))

    shown = await service.ask(
        await service.token("channel-operations"), f"/v1/contacts/{claims['sub']}"
    )

    assert (shown.json()["status"], shown.json()["side"]) == ("active", "vendor")
    assert "partner_id" not in claims


@pytest.mark.parametrize(
    ("role", "currencies"), [("channel-account-manager", {"EUR", "USD"}), ("integrator", set())]
)
async def test_who_decides_on_deals_gets_a_limit(
    service: PartnerService, role: str, currencies: set[str]
) -> None:
    await service.token(role)

    limits = [stored.fact for stored in service.stored() if isinstance(stored.fact, LimitSet)]

    assert {limit.currency for limit in limits} == currencies
    assert {limit.amount_minor for limit in limits} <= {100_000_000}


async def test_the_same_name_is_the_same_person_and_another_name_another(
    service: PartnerService,
) -> None:
    names = ("Clara", "clara ", "Dora", None, None)

    subjects = [
        (await verified(service, await service.token("channel-operations", person=name)))["sub"]
        for name in names
    ]

    invited = [it for it in service.stored() if isinstance(it.fact, ContactInvited)]
    assert subjects[0] == subjects[1]
    assert subjects[3] == subjects[4]
    assert len(set(subjects)) == len(invited) == 3


async def test_a_person_may_hold_several_roles_and_asks_for_one(service: PartnerService) -> None:
    first = await verified(service, await service.token("finance-approver", person="Clara"))
    second = await verified(service, await service.token("channel-operations", person="Clara"))

    assert first["sub"] == second["sub"]
    assert second["roles"] == ["channel-operations"]


async def test_a_contact_made_by_hand_is_asked_for_by_its_id(service: PartnerService) -> None:
    claims = await verified(service, await service.token("finance-approver", person="Clara"))

    again = await verified(service, await service.token("finance-approver", person=claims["sub"]))

    assert again["sub"] == claims["sub"]
    for wrong in ({"role": "integrator", "person": claims["sub"]}, {"person": str(uuid4())}):
        answer = await service.asked_token(**({"role": "finance-approver"} | wrong))
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


async def test_nobody_gets_a_token_who_was_deactivated(service: PartnerService) -> None:
    operations = await service.token("channel-operations")
    gone = await verified(service, await service.token("finance-approver", person="Clara"))
    path = f"/v1/contacts/{gone['sub']}/deactivate"
    await service.tell(operations, path, {"reason_code": "left"})

    answer = await service.asked_token(role="finance-approver", person="Clara")

    assert answer.json()["error"] == "invalid_grant"
    assert answer.json()["error_description"].startswith("ContactNotActive")


REFUSED: tuple[tuple[dict[str, str], str], ...] = (
    ({"role": "king"}, "invalid_request"),
    ({}, "invalid_request"),
    ({"role": "partner-admin"}, "invalid_request"),
    ({"role": "partner-admin", "partner_id": "alpha"}, "invalid_request"),
    ({"role": "integrator", "partner_id": str(UUID(int=1))}, "invalid_request"),
    ({"role": "partner-admin", "partner_id": str(UUID(int=1))}, "invalid_grant"),
    ({"role": "integrator", "grant_type": "password"}, "unsupported_grant_type"),
    ({"role": "integrator", "client_secret": "guess"}, "invalid_client"),
    ({"role": "integrator", "client_id": str(uuid4())}, "invalid_client"),
)


async def test_a_refused_token_says_why_as_oauth_does(service: PartnerService) -> None:
    answers = [await service.asked_token(**form) for form, _ in REFUSED]

    assert [answer.json()["error"] for answer in answers] == [error for _, error in REFUSED]
    assert [answer.status_code for answer in answers] == [400] * 7 + [401] * 2


async def test_a_body_that_is_no_form_is_refused(service: PartnerService) -> None:
    form = "application/x-www-form-urlencoded"

    for body, kind in (("role=a&role=b", form), ("no form", form), ("{}", "application/json")):
        head = {"Content-Type": kind}
        answer = await service.client.post("/oauth/token", content=body, headers=head)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request"), body


async def test_a_deployment_has_no_operator(fresh_database: str) -> None:
    async with served(fresh_database, operator_secret=None) as deployed:
        for secret in (SECRET, ""):
            answer = await deployed.asked_token(role="channel-operations", client_secret=secret)
            assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
        assert deployed.stored() == []


async def test_a_token_of_the_operators_is_logged_as_break_glass(
    service: PartnerService, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        await service.token("channel-operations", person="Clara")

    assert "break-glass" in caplog.text
    assert "Clara" not in caplog.text


async def test_an_application_logs_on_with_the_secret_that_it_was_shown_once(
    service: PartnerService,
) -> None:
    operator = await service.token("platform-operator")
    body, key = {"name": "Order feed"}, "the same key"
    made = (await service.tell(operator, "/v1/applications", body, key)).json()
    credentials = {"client_id": made["client_id"], "client_secret": made["client_secret"]}

    answer = await service.asked_token(**credentials)
    again = await service.tell(operator, "/v1/applications", body, key)
    wrong = await service.asked_token(**(credentials | {"client_secret": "guess"}))

    claims = await verified(service, answer.json()["access_token"])
    assert (claims["sub"], claims["roles"]) == (made["client_id"], ["integrator"])
    assert (again.status_code, again.json()["type"]) == (409, "urn:problem:secret-shown-already")
    assert wrong.status_code == 401
    listed = await service.ask(answer.json()["access_token"], "/v1/partners")
    assert listed.status_code == 200


async def test_a_client_may_name_itself_in_the_authorization_header(
    service: PartnerService,
) -> None:
    pair = base64.b64encode(f"operator:{SECRET}".encode()).decode()
    form = {"grant_type": "client_credentials", "role": "integrator"}
    head = {"Authorization": f"Basic {pair}"}

    answer = await service.client.post("/oauth/token", data=form, headers=head)
    garbled = await service.client.post(
        "/oauth/token", data=form, headers={"Authorization": "Basic ?"}
    )

    assert answer.status_code == 200
    assert garbled.headers["WWW-Authenticate"].startswith("Basic")


async def test_no_secret_and_no_private_key_lies_in_the_database_in_clear(
    service: PartnerService,
) -> None:
    operator = await service.token("platform-operator")
    made = (await service.tell(operator, "/v1/applications", {"name": "Feed"})).json()

    with psycopg.connect(service.dsn) as connection:
        [hashed] = connection.execute("SELECT secret_hash FROM applications").fetchall()
        [wrapped] = connection.execute("SELECT wrapped FROM signing_keys").fetchall()

    assert hashed[0].startswith("$argon2id$")
    assert made["client_secret"] not in hashed[0]
    assert not wrapped[0].startswith(b"\x30\x81")  # DER


async def test_all_who_ask_for_the_first_key_at_once_see_the_same_one(
    service: PartnerService,
) -> None:
    seen = await asyncio.gather(*(published_kids(service) for _ in range(10)))
    age_keys(service.dsn, signing.ROTATED_AFTER)
    later = await asyncio.gather(*(published_kids(service) for _ in range(10)))

    assert all(kids == seen[0] and len(kids) == 1 for kids in seen)
    assert all(kids == later[0] and len(kids) == 2 for kids in later)


async def test_an_old_key_is_followed_by_a_new_one_and_both_are_published(
    service: PartnerService,
) -> None:
    token = await service.token("integrator")
    old = await published_kids(service)
    age_keys(service.dsn, signing.ROTATED_AFTER)

    both = await published_kids(service)

    assert both[:1] == old
    assert len(both) == 2
    assert (await verified(service, token))["roles"] == ["integrator"]


async def test_a_key_signs_only_once_it_was_published_for_a_while(service: PartnerService) -> None:
    await service.token("integrator")
    age_keys(service.dsn, signing.ROTATED_AFTER)
    old, new = await published_kids(service)

    before = jwt.get_unverified_header(await service.token("integrator"))["kid"]
    age_keys(service.dsn, signing.OVERLAP)
    after = jwt.get_unverified_header(await service.token("integrator"))["kid"]

    assert (before, after) == (old, new)


async def test_a_key_whose_tokens_have_expired_is_published_no_longer(
    service: PartnerService,
) -> None:
    [old] = await published_kids(service)
    age_keys(service.dsn, signing.ROTATED_AFTER)
    await published_kids(service)

    age_keys(service.dsn, signing.LIFETIME + 2 * signing.OVERLAP)

    assert old not in await published_kids(service)


async def test_keys_made_under_another_master_key_stop_the_log_on_with_a_reason(
    fresh_database: str,
) -> None:
    async with served(fresh_database) as before:
        await before.token("integrator")

    async with served(fresh_database, master_key=b"\1" * 32) as after:
        answer = await after.asked_token(role="integrator")

    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:problem:signing-key-unreadable"


async def test_the_issuers_metadata_is_what_it_does(service: PartnerService) -> None:
    told = (await service.client.get("/.well-known/openid-configuration")).json()

    assert told["issuer"] == URL
    assert told["grant_types_supported"] == ["client_credentials"]
    for address in (told["jwks_uri"],):
        assert (await service.client.get(address)).status_code == 200


async def test_a_token_is_not_valid_before_its_time_and_not_after_it(
    service: PartnerService,
) -> None:
    claims = await verified(service, await service.token("integrator"))
    now = datetime.now(UTC).timestamp()

    assert claims["nbf"] <= now < claims["exp"] <= now + 3601
