"""A partner's people see their own; somebody else's record answers like a missing one."""

from typing import Any
from uuid import uuid4

import pytest

from .story import BY_HAND, Partner, Person, Story

COLLECTIONS = ("deals", "partners", "contacts", "territories", "notifications")


@pytest.fixture(scope="module")
def rivals(story: Story) -> tuple[Partner, Partner]:
    """Both have people, deals in review and a territory."""
    alpha, borealis = story.partners(2)
    story.territory(alpha)
    return alpha, borealis


@pytest.fixture(scope="module")
def deal(story: Story, rivals: tuple[Partner, Partner]) -> str:
    """A deal of the first of them."""
    deal = story.registers(rivals[0], story.customer(), BY_HAND)
    story.becomes(deal, "in_review")
    return deal


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_no_list_shows_anything_of_another_partner(
    story: Story, rivals: tuple[Partner, Partner], deal: str, collection: str
) -> None:
    alpha, borealis = rivals

    items = [*borealis.seller.lists(collection), *borealis.admin.lists(collection)]

    secrets = (alpha.id, deal, alpha.seller.id, alpha.admin.id)
    assert not [secret for secret in secrets if secret in str(items)]


def test_no_list_is_widened_by_naming_another_partner(
    story: Story, rivals: tuple[Partner, Partner], deal: str
) -> None:
    alpha, borealis = rivals

    for path in ("contacts", "territories", "deals"):
        assert borealis.admin.lists(path, partner_id=alpha.id) == []
    assert borealis.admin.lists("conflict-checks", subject=deal) == []


def test_every_question_about_anothers_record_answers_as_if_it_were_missing(
    story: Story, rivals: tuple[Partner, Partner], deal: str
) -> None:
    alpha, borealis = rivals
    told = alpha.seller.lists("notifications")[0]["notification_id"]
    own = (
        ("deals/{}", deal),
        ("deals/{}/receipt", deal),
        ("partners/{}", alpha.id),
        ("contacts/{}", alpha.seller.id),
        ("notifications/{}", told),
    )

    for path, known in own:
        assert alpha.seller.ask(path.format(known)).is_success
        for person in (borealis.seller, borealis.admin):
            missing = str(uuid4())
            answers = [person.ask(path.format(it)) for it in (known, missing)]
            assert alike(answers[0], known) == alike(answers[1], missing)
            assert answers[0].status_code == 404


def test_every_command_on_anothers_record_answers_as_if_it_were_missing(
    story: Story, rivals: tuple[Partner, Partner], deal: str
) -> None:
    alpha, borealis = rivals
    told = alpha.seller.lists("notifications")[0]["notification_id"]
    commands: tuple[tuple[Person, str, str, dict[str, Any]], ...] = (
        (borealis.seller, "deals/{}/withdraw", deal, {}),
        (borealis.admin, "deals/{}/withdraw", deal, {}),
        (borealis.admin, "contacts/{}/deactivate", alpha.seller.id, {"reason_code": "left"}),
        (borealis.admin, "contacts/{}/grant-role", alpha.seller.id, {"role": "partner-admin"}),
        (borealis.seller, "notifications/{}/read", told, {}),
    )
    before = story.manager.reads(f"deals/{deal}")

    for person, path, known, body in commands:
        missing = str(uuid4())
        answers = [person.tell(path.format(it), body) for it in (known, missing)]
        assert alike(answers[0], known) == alike(answers[1], missing)
        assert answers[0].status_code == 404

    assert story.manager.reads(f"deals/{deal}") == before


def test_a_partner_decides_nothing(
    story: Story, rivals: tuple[Partner, Partner], deal: str
) -> None:
    alpha, _ = rivals

    for person in (alpha.seller, alpha.admin):
        assert person.tell(f"deals/{deal}/approve", {}).status_code == 403
        assert person.tell(f"partners/{alpha.id}/suspend", {"reason_code": "x"}).status_code == 403

    assert story.status(deal) == "in_review"


@pytest.mark.parametrize("token", ["", "x.y.z", "{}forged"])
def test_without_a_token_of_the_issuer_there_is_no_answer(
    story: Story, rivals: tuple[Partner, Partner], deal: str, token: str
) -> None:
    alpha, _ = rivals
    stranger = Person("", token.format(alpha.seller.token), story.platform, story.http)

    for path in (f"deals/{deal}", f"partners/{alpha.id}", "territories", "notifications"):
        answer = stranger.ask(path)
        assert (answer.status_code, answer.headers["WWW-Authenticate"][:6]) == (401, "Bearer")


def alike(answer: Any, id: str) -> str:
    """The answer without what must differ: the id asked for, and the request's own id."""
    correlation = answer.json().get("correlation_id", "")
    return str((answer.status_code, answer.text.replace(id, "ID").replace(correlation, "")))
