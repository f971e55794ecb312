"""Who follows the link in an e-mail gets no more of its kind, without logging on."""

from typing import Any
from uuid import UUID

import jwt
import pytest

from prm_contracts.partners import MutedMails, NotificationPreferencesSet, Unsubscription

from .served import PartnerService

PATH = "/v1/unsubscribe"
ONE_CLICK = {"List-Unsubscribe": "One-Click"}
MULTIPART = (
    b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n'
)


async def reader(service: PartnerService) -> UUID:
    """A contact, who can log on as a channel manager."""
    token = await service.token("channel-account-manager")
    claims = jwt.decode(token, options={"verify_signature": False})
    return UUID(claims["sub"])


def link(
    service: PartnerService, contact_id: UUID, group: MutedMails = "deals", language: str = "de"
) -> dict[str, str]:
    asked = Unsubscription(contact_id=contact_id, group=group, language=language)
    return {"link": service.ports.tokens.link("unsubscribe", asked.model_dump_json())}


def preferences(service: PartnerService, contact_id: UUID) -> list[Any]:
    return [
        it.fact
        for it in service.stored()
        if it.aggregate_id == contact_id and isinstance(it.fact, NotificationPreferencesSet)
    ]


async def test_a_click_mutes_that_kind_for_that_person_once(service: PartnerService) -> None:
    contact = await reader(service)
    asked = link(service, contact)

    answers = [await service.client.post(PATH, params=asked, data=ONE_CLICK) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert "Sie erhalten keine E-Mails dieser Art mehr." in answers[0].text
    assert [it.muted for it in preferences(service, contact)] == [("deals",)]
    [fact] = [it for it in service.stored() if isinstance(it.fact, NotificationPreferencesSet)]
    assert fact.aggregate_id == contact


async def test_what_was_muted_before_stays_muted(service: PartnerService) -> None:
    contact = await reader(service)
    both: tuple[MutedMails, ...] = ("tasks", "deals")

    for group in both:
        await service.client.post(PATH, params=link(service, contact, group), data=ONE_CLICK)

    assert [it.muted for it in preferences(service, contact)] == [("tasks",), ("deals", "tasks")]


async def test_who_chose_otherwise_meanwhile_may_follow_the_link_again(
    service: PartnerService,
) -> None:
    contact, asked = await reader(service), link(service, await reader(service))
    token = await service.token("channel-account-manager")
    await service.client.post(PATH, params=asked, data=ONE_CLICK)
    path = f"/v1/contacts/{contact}/set-notification-preferences"
    await service.tell(token, path, {"language": "de", "muted": []})

    await service.client.post(PATH, params=asked, data=ONE_CLICK)

    muted = [it.muted for it in preferences(service, contact)]
    assert muted == [("deals",), (), ("deals",)]


async def test_mail_programs_may_send_a_form_of_parts(service: PartnerService) -> None:
    contact = await reader(service)
    head = {"Content-Type": "multipart/form-data; boundary=x"}

    answer = await service.client.post(
        PATH, params=link(service, contact), content=MULTIPART, headers=head
    )

    assert answer.status_code == 200, answer.text
    assert preferences(service, contact)


async def test_to_look_at_the_link_changes_nothing_and_shows_a_button(
    service: PartnerService,
) -> None:
    contact = await reader(service)
    before = service.stored()

    answer = await service.client.get(PATH, params=link(service, contact, language="fr-CH"))

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert '<form method="post"><button name="List-Unsubscribe" value="One-Click">' in answer.text
    assert str(contact) not in answer.text
    assert service.stored() == before


@pytest.mark.parametrize("language", ["en", "de", "fr", "es", "nl"])
async def test_the_page_speaks_the_language_of_the_mail_else_english(
    service: PartnerService, language: str
) -> None:
    asked = link(service, await reader(service), language=language)

    shown = (await service.client.get(PATH, params=asked)).text

    assert ("No more" in shown) is (language in {"en", "nl"})


@pytest.mark.parametrize("of", ["another purpose", "nothing", "another key's"])
async def test_a_link_that_nobody_was_sent_does_nothing(service: PartnerService, of: str) -> None:
    contact = await reader(service)
    sent = link(service, contact)["link"]
    forged = {
        "another purpose": {"link": service.ports.tokens.link("x", "y" * 40)},
        "nothing": {"link": service.ports.tokens.link("unsubscribe", "{}")},
        "another key's": {"link": ("B" if sent[0] == "A" else "A") + sent[1:]},
    }[of]

    answer = await service.client.post(PATH, params=forged, data=ONE_CLICK)

    assert (answer.status_code, answer.json()["type"]) == (422, "urn:problem:link-unreadable")
    assert preferences(service, contact) == []


@pytest.mark.parametrize(
    ("content_type", "body", "kind"),
    [
        ("application/x-www-form-urlencoded", b"", "not-confirmed"),
        ("application/x-www-form-urlencoded", b"List-Unsubscribe=No", "not-confirmed"),
        ("application/x-www-form-urlencoded", b"\xff=\xfe", "not-confirmed"),
        ("multipart/form-data", MULTIPART, "not-confirmed"),
        ("application/json", b'{"List-Unsubscribe": "One-Click"}', "media-type-unsupported"),
    ],
)
async def test_what_is_no_click_changes_nothing(
    service: PartnerService, content_type: str, body: bytes, kind: str
) -> None:
    contact = await reader(service)

    answer = await service.client.post(
        PATH, params=link(service, contact), content=body, headers={"Content-Type": content_type}
    )

    assert answer.json()["type"] == f"urn:problem:{kind}"
    assert preferences(service, contact) == []


async def test_who_is_gone_gets_no_mails_anyway(service: PartnerService) -> None:
    contact = await reader(service)
    operations = await service.token("channel-operations")
    path = f"/v1/contacts/{contact}/deactivate"
    left = await service.tell(operations, path, {"reason_code": "left"})
    assert left.status_code == 200, left.text
    before = service.stored()

    answer = await service.client.post(PATH, params=link(service, contact), data=ONE_CLICK)

    assert answer.status_code == 200
    assert service.stored() == before
