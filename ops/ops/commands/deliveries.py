"""`prm lag` and `prm dlq`: how far services are behind, and what they could not handle."""

import click

from ops.commands import here, running
from ops.show import as_json, table


@click.group()
def lag() -> None:
    """How far services are behind the topics that they read."""


@lag.command("show")
def show_lag() -> None:
    """Facts without effect yet, by service; and what stops it, if anything."""
    states = [running().client.state_of(name) for name in here().services]
    rows = [(it["service"], it["lag"], "; ".join(it["reasons"])) for it in states]
    click.echo(table(("service", "behind", ""), rows))


@lag.command("reset")
@click.argument("service")
@click.argument("topic")
@click.option("--partition", type=int, help="One only; else all of the topic.")
def reset_lag(service: str, topic: str, partition: int | None) -> None:
    """SERVICE reads a TOPIC that was made anew from its beginning. No fact has effect twice."""
    running().client.reset_tracking(service, topic, partition)
    click.echo(f"{service} reads {topic} from its beginning.")


@click.group()
def dlq() -> None:
    """Facts that a service could not handle, and what waits behind them."""


@dlq.command("list")
@click.option("--service", "only", metavar="SERVICE", help="Of one service only.")
@click.option("--state", type=click.Choice(["waiting", "dead", "released", "discarded"]))
@click.option("--limit", default=50, show_default=True)
def list_dead_letters(only: str | None, state: str | None, limit: int) -> None:
    """List them, oldest first."""
    platform = running()
    names = [only] if only else list(platform.services)
    found = [
        (name, it) for name in names for it in platform.client.dead_letters(name, state, limit)
    ]
    columns = ("service", "id", "state", "type", "aggregate_id", "reason")
    rows = [(name, *(letter.get(column) for column in columns[1:])) for name, letter in found]
    click.echo(table(columns, rows) if rows else "None.")


def _on_dead_letter(name: str, verb: str | None, says: str) -> None:
    """`prm dlq <name> SERVICE ID`."""

    @dlq.command(name, help=says)
    @click.argument("service")
    @click.argument("id")
    def act(service: str, id: str) -> None:
        answer = running().client.dead_letter(service, id, verb)
        click.echo(as_json(answer) if answer else f"{verb} of {id}: done.")


_on_dead_letter("show", None, "Show one with its bytes, headers and reason.")
_on_dead_letter("redrive", "redrive", "Try it again, and what waits behind it.")
_on_dead_letter("discard", "discard", "Give it up, and go on with what waits behind it.")
