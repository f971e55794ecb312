"""A fact fails until it is dead; once its cause is gone an operator has it tried again."""

from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from .story import Person, Story, eventually

SERVICE = "notify-svc"
SUBSCRIBERS = {"deals", "policies"}  # who reads the table that is away


def in_its_database(story: Story, statement: str) -> None:
    dsn = make_conninfo(str(story.platform.state.postgres), dbname="prm_notify_svc")
    with psycopg.connect(dsn) as owner:
        owner.execute(statement.encode())


def letters(story: Story, state: str, deal: str) -> list[dict[str, Any]]:
    found = story.platform.client.dead_letters(SERVICE, state, 200)
    return [letter for letter in found if letter["aggregate_id"] == deal]


def dead_for_all(story: Story, deal: str) -> list[dict[str, Any]]:
    """What each subscriber could not take; none, as long as one still tries."""
    found = letters(story, "dead", deal)
    return found if {letter["subscriber"] for letter in found} == SUBSCRIBERS else []


def told_of(story: Story, person: Person, deal: str) -> list[str]:
    """Newest first."""
    return [template for template, about in story.told(person) if about == deal]


def test_a_redriven_fact_and_those_behind_it_have_their_effect_in_order(story: Story) -> None:
    [alpha] = story.partners(1)
    in_its_database(story, "ALTER TABLE deals RENAME TO deals_away")
    try:
        deal = story.registers(alpha, story.customer())
        story.becomes(deal, "approved")
        eventually(lambda: len(letters(story, "waiting", deal)) > len(SUBSCRIBERS))
        # As if twelve minutes had passed: the last of its tries comes now.
        in_its_database(story, "UPDATE parking SET attempts = 5, next_try_at = now()")
        dead = eventually(lambda: dead_for_all(story, deal))
        told_before = told_of(story, alpha.seller, deal)
    finally:
        in_its_database(story, "ALTER TABLE deals_away RENAME TO deals")

    for letter in sorted(dead, key=lambda it: str(it["subscriber"])):  # what policies read first
        story.platform.client.dead_letter(SERVICE, str(letter["id"]), "redrive")
    eventually(lambda: len(told_of(story, alpha.seller, deal)) > 1)

    assert told_before == []
    assert told_of(story, alpha.seller, deal) == ["deal-approved", "deal-registered"]
    eventually(lambda: not letters(story, "dead", deal) + letters(story, "waiting", deal))
