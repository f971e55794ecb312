"""`prm verify` and `prm restore`: what a service keeps against its topics."""

import re
from datetime import timedelta
from functools import partial
from typing import Any

import click

from ops.clock import span
from ops.commands import here
from ops.failures import OpsError
from ops.read_models import ReadModels, as_document
from ops.recovery import lines_of, put_aside, restore_store, verify_log
from ops.show import as_json

PLACE = re.compile(r"prm\.[a-z-]+/\d+/\d+")


@click.command()
@click.argument("service")
@click.option("--models", is_flag=True, help="Its read models against their log, instead.")
@click.option("--json", "for_programs", is_flag=True, help="One JSON document.")
def verify(service: str, models: bool, for_programs: bool) -> None:
    """Compare the store of SERVICE with its topics, fact by fact; all goes on meanwhile.

    Exit code 0: they agree, 1: they differ, 2: can't tell.
    """
    try:
        document, lines, is_healthy = (_verified_models if models else _verified_log)(service)
    except OpsError as unknown:
        click.echo(f"Error: {unknown}", err=True)
        raise SystemExit(2) from unknown
    click.echo(as_json(document) if for_programs else "\n".join(lines))
    raise SystemExit(0 if is_healthy else 1)


def _verified_log(service: str) -> tuple[Any, list[str], bool]:
    verified = verify_log(here(), service)
    return verified.as_document(), verified.lines(), verified.is_healthy


def _verified_models(service: str) -> tuple[Any, list[str], bool]:
    verdicts = ReadModels.of(here(), service).verify_all(partial(click.echo, err=True))
    lines = [line for verdict in verdicts for line in verdict.lines()]
    return as_document(verdicts), lines, all(verdict.is_equal for verdict in verdicts)


def _places(_ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]) -> list[str]:
    for place in given:
        if not PLACE.fullmatch(place):
            raise click.BadParameter(f"{place} is no record such as prm.deals/3/1207")
    return list(given)


class Span(click.ParamType):
    name = "span"

    def convert(self, value: Any, param: Any, ctx: Any) -> timedelta:
        try:
            return value if isinstance(value, timedelta) else span(value)
        except OpsError as malformed:
            self.fail(str(malformed), param, ctx)


@click.command()
@click.argument("service")
@click.option("--accept-loss", is_flag=True, help="Go on over what the topics have lost too.")
@click.option(
    "--foreign",
    multiple=True,
    metavar="TOPIC/PARTITION/OFFSET",
    callback=_places,
    help="A record that is not of this house; as often as needed.",
)
@click.option(
    "--afresh", is_flag=True, help="Put the database aside under another name; refill an empty one."
)
@click.option(
    "--rewind",
    type=Span(),
    default="0m",
    show_default=True,
    help="Policies decide again what caused nothing in that time (1h, 2d) before the loss.",
)
def restore(
    service: str, accept_loss: bool, foreign: list[str], afresh: bool, rewind: timedelta
) -> None:
    """Bring the database of SERVICE forward from its topics; an empty one is refilled.

    SERVICE does not run meanwhile. What was never published, credentials, keys of personal data and
    answers of commands that recorded nothing are on no topic: a backup is the first resort.
    """
    platform = here()
    if None in platform.backends_up():
        raise OpsError("Broker and database must run: `prm up` starts them.")

    def put_database_aside() -> None:
        if afresh and (aside := put_aside(platform, service)):
            click.echo(f"The database of before is {aside} now.")

    with platform.without(service, put_database_aside):
        found = restore_store(
            platform, service, accept_loss=accept_loss, rewind=rewind, not_ours=foreign
        )
        click.echo("\n".join(lines_of(service, *found)))
    click.echo(f"{service} at {platform.url(service)} runs again.")
