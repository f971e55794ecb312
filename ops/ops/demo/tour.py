"""What `prm demo` says once the story is told: where to look, and what to paste."""

from ops.mail.box import MailBox
from ops.platform import Platform, Tell
from ops.show import without_password

TOPICS = ("prm.deals", "prm.conflict-checks", "prm.exclusivities", "prm.notifications")


def where_to_look(platform: Platform, tell: Tell) -> None:
    state = platform.state
    tell("\nThe platform goes on running. Where to look:")
    for name, url in state.urls.items():
        tell(f"  {name:14} {url}/docs")
    tell(f"  Kafka          {state.kafka}, e.g. topics {', '.join(TOPICS)}")
    tell(f"  PostgreSQL     {without_password(state.postgres or '-')}")
    if state.mail:
        tell(f"  E-mails        {state.mail} {mailed(platform.mail.box)}")
    tell("\nAsk for yourself what was decided (`prm token` knows all seven roles):")
    tell(
        '  curl -s -H "Authorization: Bearer $(.venv/bin/prm token --role channel-operations)"'
        f" '{state.urls['deal-svc']}/v1/deals?status=approved'"
    )
    tell("\n`make status` tells how it is, `make down` stops it, `make clean` forgets it.")


def mailed(box: MailBox) -> str:
    """How many, and the subject of the approval that Alpha's seller was sent."""
    approvals = (
        mail.header("Subject")
        for mail in box.mails(to="Seller of alpha")
        if "genehmigt" in mail.header("Subject")
    )
    example = next(approvals, "none yet")
    return f"took {box.count()}, to Alpha's seller: {example}; `.venv/bin/prm mail list`"
