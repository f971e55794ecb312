"""A service's database is gone, or went its own way: it is refilled from the topics."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from .load import Told
from .story import Story, eventually

LOST, DATABASE = "notify-svc", "prm_notify_svc"


def prm(story: Story, *arguments: str, code: int = 0) -> str:
    command = [str(Path(sys.executable).with_name("prm")), *arguments]
    environment = {"PRM_HOME": str(story.platform.home), "PRM_BACKEND": "process"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_lost_database_comes_back_from_the_topics_and_nobody_is_told_twice(story: Story) -> None:
    [alpha] = story.partners(1)
    deal = story.registers(alpha, story.customer())
    eventually(lambda: ("deal-approved", deal) in story.told(alpha.seller))
    story.settled()
    told, facts = story.told(alpha.seller), story.platform.client.state_of(LOST)["head"]
    mails = len(list(story.platform.mail.box.mails()))

    story.platform.stop_service(LOST)
    with psycopg.connect(str(story.platform.state.postgres), autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)".encode())
    said = prm(story, "restore", LOST)
    later = story.registers(alpha, story.customer())
    eventually(lambda: ("deal-approved", later) in story.told(alpha.seller))
    story.settled()

    assert f"{facts:,} facts came back" in said
    assert [it for it in story.told(alpha.seller) if it[1] != later] == told
    assert verified(story)["facts"] == facts + 4  # two notifications, both mailed
    assert len(list(story.platform.mail.box.mails())) == mails + 2


def test_a_database_that_went_on_by_itself_is_put_aside_for_what_its_topics_say(
    story: Story,
) -> None:
    """It was set back while the broker was away, and took a command before anybody could tell."""
    [alpha] = story.partners(1)
    deal = story.registers(alpha, story.customer())
    eventually(lambda: ("deal-approved", deal) in story.told(alpha.seller))
    story.settled()
    told, facts = story.told(alpha.seller), story.platform.client.state_of(LOST)["head"]
    mails, command = len(list(story.platform.mail.box.mails())), f"read-{deal}"
    path = f"notifications/{alpha.seller.lists('notifications')[-1]['notification_id']}/read"

    story.platform.stop_service(LOST)
    with story.stopped_broker():
        set_back(story, facts - 2)
        story.platform.services[LOST].begin()
        assert Told().insist(alpha.seller, path, {}, command).is_success
    refused = prm(story, "restore", LOST, code=1)
    said = prm(story, "restore", LOST, "--afresh")
    later = story.registers(alpha, story.customer())
    eventually(lambda: ("deal-approved", later) in story.told(alpha.seller))
    story.settled()

    assert "Two histories" in refused
    assert "--afresh" in refused
    assert f"{facts:,} facts came back, positions 1 to {facts:,}" in said
    aside = said.removeprefix("The database of before is ").split()[0]
    assert head_of(story, aside) == facts - 1
    assert [it for it in story.told(alpha.seller) if it[1] != later] == told
    assert verified(story)["facts"] == facts + 4
    assert len(list(story.platform.mail.box.mails())) == mails + 2
    assert alpha.seller.tell(path, {}, key=command).is_success  # was recorded nowhere else


def set_back(story: Story, head: int) -> None:
    with connected(story, DATABASE) as owner:
        owner.execute("DELETE FROM events WHERE position > %s", (head,))
        owner.execute("UPDATE relay SET position = %s", (head,))


def head_of(story: Story, database: str) -> int:
    with connected(story, database) as owner:
        [(head,)] = owner.execute("SELECT max(position) FROM events").fetchall()
        return int(head)


def connected(story: Story, database: str) -> psycopg.Connection:
    return psycopg.connect(make_conninfo(str(story.platform.state.postgres), dbname=database))


def verified(story: Story) -> Any:
    """Store and topics of the service agree."""
    document = json.loads(prm(story, "verify", LOST, "--json"))
    assert document["healthy"], document
    return document
