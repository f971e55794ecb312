"""Read models are filled anew under load: lists answer meanwhile, and nothing happens twice."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from click.testing import CliRunner, Result

from chassis.testing.chaos import Chaos
from ops.main import cli
from ops.read_models import ReadModels

from .ledger import assert_whole
from .load import under_load
from .story import Partner, Story

REBUILT = ("deal_list", "customer_keys", "exclusivity_line")


@pytest.mark.timeout(300)
def test_a_position_is_waited_for_and_no_list_lacks_a_row_meanwhile(
    story: Story, chaos: Chaos
) -> None:
    asking, *writing = story.partners(4)
    models = ReadModels.of(story.platform, "deal-svc")

    def rebuild() -> list[bool]:
        said: list[str] = []
        return [
            models.rebuild(name, accepts_differences=False, tell=said.append).is_equal
            for name in REBUILT
        ]

    with (
        ThreadPoolExecutor(1) as pool,
        under_load(story, chaos, partners=writing, writers=3) as load,
    ):
        rebuilding = pool.submit(rebuild)
        asked = 0
        while not rebuilding.done() or not asked:
            assert is_listed(story, asking)
            asked += 1

    assert rebuilding.result() == [True] * len(REBUILT)
    assert_whole(story, load)


def is_listed(story: Story, partner: Partner) -> bool:
    """A new deal, by whom its answer's position is shown to the list."""
    done = partner.seller.does("deals", story.deal(story.customer()))
    while (answer := partner.seller.ask("deals", seen=done.position)).status_code == 503:
        """It says so, rather than to answer with less."""
    return done.id in [deal["deal_id"] for deal in answer.json()["items"]]


def test_every_read_model_of_every_service_is_what_its_log_says(story: Story) -> None:
    """Whatever the stories before have left: poisoned records, what was discarded, restarts."""
    story.settled()

    shown = {name: prm(story, "verify", name, "--models") for name in story.platform.services}

    assert {name: it.output for name, it in shown.items() if it.exit_code} == {}
    assert "deal_list: " in shown["deal-svc"].output


def test_a_damaged_table_is_repaired_and_listed_with_that(story: Story) -> None:
    with psycopg.connect(ReadModels.of(story.platform, "notify-svc").dsn) as owner:
        owner.execute("UPDATE contacts SET language = 'xx'")

    refused = prm(story, "rebuild", "notify-svc", "contacts")
    repaired = prm(story, "rebuild", "notify-svc", "contacts", "--accept-differences")

    assert refused.exit_code == 1
    assert ": language" in refused.output
    assert "prm rebuild notify-svc contacts --accept-differences" in refused.output
    assert repaired.exit_code == 0, repaired.output
    assert prm(story, "rebuild", "notify-svc", "contacts", "--only-verify").exit_code == 0
    lines = prm(story, "rebuild", "notify-svc").output.splitlines()
    [line] = [line for line in lines if line.startswith("contacts ")]
    assert "prm.contacts" in line
    assert "rebuilt at " in line


def prm(story: Story, *arguments: str) -> Result:
    return CliRunner(env={"PRM_HOME": str(story.platform.home)}).invoke(cli, arguments)
