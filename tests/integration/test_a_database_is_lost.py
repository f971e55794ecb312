"""A service's database is gone, and there is no backup: it is refilled from the topics."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg

from .story import Story, eventually

LOST = "notify-svc"


def prm(story: Story, *arguments: str, code: int = 0) -> str:
    command = [str(Path(sys.executable).with_name("prm")), *arguments]
    environment = {"PRM_HOME": str(story.platform.home), "PRM_BACKEND": "process"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def test_a_lost_database_comes_back_from_the_topics_and_nobody_is_told_twice(story: Story) -> None:
    [alpha] = story.partners(1)
    deal = story.registers(alpha, story.customer())
    eventually(lambda: ("deal-approved", deal) in story.told(alpha.seller))
    story.settled()
    told, facts = story.told(alpha.seller), story.platform.client.state_of(LOST)["head"]
    mails = len(list(story.platform.mail.box.mails()))

    story.platform.stop_service(LOST)
    with psycopg.connect(str(story.platform.state.postgres), autocommit=True) as admin:
        admin.execute("DROP DATABASE prm_notify_svc WITH (FORCE)")
    said = prm(story, "restore", LOST)
    later = story.registers(alpha, story.customer())
    eventually(lambda: ("deal-approved", later) in story.told(alpha.seller))
    story.settled()

    assert f"{facts:,} facts came back" in said
    assert [it for it in story.told(alpha.seller) if it[1] != later] == told
    assert verified(story)["facts"] == facts + 4  # two notifications, both mailed
    assert len(list(story.platform.mail.box.mails())) == mails + 2


def verified(story: Story) -> Any:
    """Store and topics of the service agree."""
    document = json.loads(prm(story, "verify", LOST, "--json"))
    assert document["healthy"], document
    return document
