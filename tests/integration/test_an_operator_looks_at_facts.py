"""An operator looks at one deal's facts, and an integrator fills a sandbox with a whole topic."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

from click.testing import CliRunner

from ops.main import cli

from .story import Story


def prm(story: Story, *arguments: str, code: int = 0) -> str:
    shown = CliRunner(env={"PRM_HOME": str(story.platform.home)}).invoke(cli, arguments)
    assert shown.exit_code == code, shown.output
    return shown.output


def approved(story: Story) -> str:
    [alpha] = story.partners(1)
    deal = story.registers(alpha, story.customer())
    story.becomes(deal, "approved")
    story.settled()
    return deal


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def test_the_facts_of_a_deal_are_shown_with_what_is_personal_sealed(story: Story) -> None:
    deal = approved(story)

    whole = json.loads(prm(story, "stream", "deal", deal, "--json"))
    first = json.loads(prm(story, "stream", "deal", deal, "--json", "--as-of", "1"))
    until = json.loads(
        prm(story, "stream", "deal", deal, "--json", "--as-of", whole[1]["recordedat"])
    )
    shown = prm(story, "stream", "prm.deals", deal)

    named = [(it["sequence"], it["type"].split(".")[2]) for it in whole]
    assert named == [(event.version, event.name) for event in story.topics.facts("prm.deals", deal)]
    assert (first, until) == (whole[:1], whole[:2])
    assert whole[0]["data"]["sales_activity"]["box"] not in shown
    assert "[sealed, of " in shown
    assert "There is no contact" in prm(story, "stream", "contact", deal, code=1)
    assert "it may be alignment, " in prm(story, "stream", "dealings", deal, code=1)
    assert "There is no deal" in prm(story, "stream", "deal", str(uuid4()), code=1)


def test_a_topic_is_handed_out_each_fact_once_and_in_order(story: Story, tmp_path: Path) -> None:
    approved(story)

    told = prm(story, "events", "replay", "prm.exclusivities", "--to", str(tmp_path / "all"))
    every = lines((tmp_path / "all").read_text())
    middle = every[len(every) // 2]
    by_position = lines(
        prm(story, "events", "replay", "prm.exclusivities", "--from", str(middle["position"]))
    )
    by_time = lines(
        prm(story, "events", "replay", "prm.exclusivities", "--from", middle["recordedat"])
    )

    assert f"{len(every)} facts" in told.replace(",", "")
    assert {it["id"] for it in every} == {it.id for it in story.topics.facts("prm.exclusivities")}
    assert [it["position"] for it in every] == sorted({it["position"] for it in every})
    assert by_position == by_time == every[len(every) // 2 :]
    assert all(it["specversion"] == "1.0" and isinstance(it["data"], dict) for it in every)
    assert "no instant" in prm(story, "events", "replay", "prm.deals", "--from", "now", code=2)


def test_the_last_records_of_a_topic_are_shown_as_they_lie_there(story: Story) -> None:
    deal = approved(story)

    shown = prm(story, "events", "tail", "prm.deals", "-n", "50")
    last = lines(prm(story, "events", "tail", "prm.deals", "-n", "3", "--json"))

    assert any(deal in line and "deal.DealApproved.v1" in line for line in shown.splitlines())
    assert len(last) == 3
    assert "it may be prm.alignments" in prm(story, "events", "tail", "prm.dealings", code=1)
