"""`prm clock`: the story clock that all services share."""

import click

from ops import clock as story_clock
from ops.commands import running
from ops.show import table


@click.group()
def clock() -> None:
    """The story clock that all services share."""


@clock.command("show")
def show_clock() -> None:
    """The time of each service, and its next deadline."""
    platform = running()
    states = [platform.client.state_of(name) for name in platform.services]
    rows = [(it["service"], it["now"], it["next_deadline"] or "-") for it in states]
    click.echo(table(("service", "now", "next deadline"), rows))


@clock.command()
@click.argument("span")
def advance(span: str) -> None:
    """Move it on by SPAN (31d, 2h); due deadlines fire in order before this ends."""
    by = story_clock.span(span)
    platform = running()
    reached = story_clock.advance(platform.client, list(platform.services), by, click.echo)
    click.echo(f"It is {reached.isoformat()}.")
