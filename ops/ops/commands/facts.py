"""`prm stream` and `prm events`: facts, looked at and handed out."""

import asyncio
import json
from contextlib import suppress
from datetime import datetime
from typing import Any, TextIO
from uuid import UUID

import click

from ops import facts
from ops.commands import Instant, here
from ops.facts import Event, Since
from ops.failures import OpsError
from ops.platform import Platform
from ops.show import as_json, table

INSTANT = Instant()
MOST_SHOWN = 10


class AsOf(click.ParamType):
    name = "version|instant"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | datetime:
        return int(value) if str(value).isdecimal() else INSTANT.convert(value, param, ctx)


class From(click.ParamType):
    name = "beginning|position|instant"

    def convert(self, value: Any, param: Any, ctx: Any) -> Since:
        if value == "beginning":
            return 0
        return int(value) if str(value).isdecimal() else INSTANT.convert(value, param, ctx)


@click.command()
@click.argument("kind")
@click.argument("id", type=click.UUID)
@click.option("--as-of", type=AsOf(), help="Up to that version, or what was known at that instant.")
@click.option("--json", "for_programs", is_flag=True, help="One JSON document.")
def stream(kind: str, id: UUID, as_of: int | datetime | None, for_programs: bool) -> None:
    """The facts of one aggregate: KIND is deal, partner, contact and so on.

    Personal texts stay sealed.
    """
    found = facts.stream(here(), kind, id, as_of)
    if for_programs:
        click.echo(as_json([each.document() for each in found]))
        return
    rows = [
        (
            *(told["sequence"], told["recordedat"], told["position"], told["type"].split(".")[2]),
            json.dumps(facts.sealed(told["data"]), ensure_ascii=False),
        )
        for told in (each.document() for each in found)
    ]
    click.echo(table(("version", "recorded", "position", "fact", "data"), rows))


@click.group()
def events() -> None:
    """What lies on a topic."""


@events.command()
@click.argument("topic")
@click.option("-n", "--limit", default=10, show_default=True, type=click.IntRange(0, 10_000))
@click.option("-f", "--follow", is_flag=True, help="Go on showing what comes.")
@click.option(
    "--from", "since", type=From(), help="Every fact from there on, not the last records."
)
@click.option("--json", "for_programs", is_flag=True, help="A JSON document a line.")
def tail(topic: str, limit: int, follow: bool, since: Since | None, for_programs: bool) -> None:
    """The last records of TOPIC as they lie there, repeats and strangers included."""
    if since is not None and follow:
        raise click.UsageError("--from shows what there is, --follow what comes: choose one.")

    def show(event: Event, where: str = "") -> None:
        click.echo(event.line() if for_programs else _line(where, event))

    async def show_last() -> None:
        platform = here()
        asked = facts.named(topic, list(platform.services))
        async for each in facts.tailed(_broker(platform), asked, limit, follow=follow):
            show(each.event, each.where)

    with suppress(KeyboardInterrupt):
        _run(show_last() if since is None else _replay(topic, since, show))


def _line(where: str, event: Event) -> str:
    told = event.attributes
    name = told.get("type", "no fact").removeprefix("prm.")
    place = f"position {told.get('position', '-'):>7}"
    who = f"{told.get('subject', '-')} {told.get('sequence', '-')}"
    return f"{told.get('recordedat', '-'):<27}  {where:>9}  {place}  {who}  {name}".rstrip()


@events.command()
@click.argument("topic")
@click.option("--from", "since", type=From(), default="beginning", show_default=True)
@click.option("--to", "out", type=click.File("w", encoding="utf-8", lazy=False), default="-")
def replay(topic: str, since: Since, out: TextIO) -> None:
    """Hand out the facts of TOPIC, each once and in order: a CloudEvent in JSON a line.

    --from takes a position of the store that they come from, or when they were recorded.
    """
    written = 0

    def write(event: Event) -> None:
        nonlocal written
        out.write(event.line() + "\n")
        written += 1

    _run(_replay(topic, since, write))
    out.flush()
    click.echo(f"{written:,} facts of {topic} written.", err=True)


async def _replay(topic: str, since: Since, take: Any) -> None:
    platform = here()
    where = facts.named(topic, list(platform.services))
    chains = facts.Chains()
    async for event in facts.replayed(_broker(platform), where, since, chains):
        take(event)
    for aggregate_id, version in sorted(chains.missing.items())[:MOST_SHOWN]:
        what = f"version {version} of {aggregate_id} never came: what is behind it is left out"
        click.echo(f"{topic}: {what}.", err=True)
    if chains.missing:
        click.echo(f"`prm verify {where.owner}` says more of {len(chains.missing)}.", err=True)


def _broker(platform: Platform) -> str:
    kafka, _ = platform.backends_up()
    if kafka is None:
        raise OpsError("The broker does not run: `make up` starts it.")
    return kafka


def _run(work: Any) -> None:
    try:
        asyncio.run(work)
    except facts.AWAY as away:
        raise OpsError(f"The broker does not answer: {type(away).__name__} {away}") from away
