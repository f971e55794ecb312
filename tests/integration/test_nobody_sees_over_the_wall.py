"""A partner's people see their own; somebody else's record answers like a missing one."""

from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql

from chassis.context import Actor
from chassis.storage.questions import WHO, who
from ops.registry import SERVICES

from .story import BY_HAND, Partner, Person, Story

VENDOR = Actor(UUID(int=1))
EVERYBODYS = {"price_book_list", "product_list"}
READABLE = (
    "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    " AND relkind IN ('r', 'v', 'm', 'p') AND has_table_privilege(oid, 'SELECT')"
)
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
    story.settled()
    return deal


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_no_list_shows_anything_of_another_partner(
    story: Story, rivals: tuple[Partner, Partner], deal: str, collection: str
) -> None:
    alpha, borealis = rivals

    items = [*borealis.seller.lists(collection), *borealis.admin.lists(collection)]

    secrets = (alpha.id, deal, alpha.seller.id, alpha.admin.id)
    assert not [secret for secret in secrets if secret in str(items)]


@pytest.mark.parametrize("service", [service.name for service in SERVICES])
def test_without_the_scoping_of_any_query_the_database_holds_the_wall(
    story: Story, rivals: tuple[Partner, Partner], deal: str, service: str
) -> None:
    """What a question with no condition at all would read, of all that questions can read."""
    alpha, borealis = rivals
    own = Actor(UUID(borealis.seller.id), UUID(borealis.id))

    vendors, partners, nobodys = (
        everything_read(story, service, asker) for asker in (VENDOR, own, None)
    )

    secrets = (alpha.id, deal, alpha.seller.id, alpha.admin.id)
    assert [secret for secret in secrets if secret in str(vendors)] or service == "notify-svc"
    assert not [secret for secret in secrets if secret in str(partners)]
    assert {table for table, rows in nobodys.items() if rows} <= EVERYBODYS


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


def everything_read(story: Story, service: str, asker: Actor | None) -> dict[str, list[str]]:
    """By table, the rows that the reader of a service sees when this person asks."""
    dsn = story.platform.state.addresses[service].questions_dsn
    with psycopg.connect(dsn) as reader:
        if asker:
            reader.execute(WHO, who(asker))
        tables = [row[0] for row in reader.execute(READABLE)]
        assert tables
        rows = sql.SQL("SELECT to_jsonb(each)::text FROM {} AS each")
        return {
            table: [row[0] for row in reader.execute(rows.format(sql.Identifier(table)))]
            for table in tables
        }


def alike(answer: Any, id: str) -> str:
    """The answer without what must differ: the id asked for, and the request's own id."""
    correlation = answer.json().get("correlation_id", "")
    return str((answer.status_code, answer.text.replace(id, "ID").replace(correlation, "")))
