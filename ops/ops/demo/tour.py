"""What `prm demo` says once the story is told: where to look, and what to paste."""

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
    tell("\nAsk for yourself what was decided (`prm token` knows all seven roles):")
    tell(
        '  curl -s -H "Authorization: Bearer $(.venv/bin/prm token --role channel-operations)"'
        f" '{state.urls['deal-svc']}/v1/deals?status=approved'"
    )
    tell("\n`make status` tells how it is, `make down` stops it, `make clean` forgets it.")
