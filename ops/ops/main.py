"""The command line `prm`."""

import logging
import os
from typing import Any, get_args

import click

from ops import clock as story_clock
from ops.client import OF_A_PARTNER, Role
from ops.commands import here, running
from ops.commands.backups import backups
from ops.commands.facts import events, stream
from ops.commands.imports import import_file
from ops.commands.mails import mail
from ops.commands.read_models import rebuild
from ops.commands.recovery import restore, verify
from ops.demo.market import Market
from ops.demo.story import Story
from ops.demo.tour import where_to_look
from ops.doctor.examination import examined
from ops.doctor.findings import as_document, exit_code
from ops.failures import OpsError
from ops.platform import Platform, ServiceStatus
from ops.show import as_json, table, without_password


class Commands(click.Group):
    """Shows what went wrong as a sentence, without a trace."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except OpsError as error:
            raise click.ClickException(str(error)) from error


ENVIRONMENT = """\b
Environment:
  PRM_HOME             where data, logs and secrets lie (default: .prm of the checkout)
  PRM_PORT_OFFSET      shifts the services' ports, 8001 and on
  PRM_KAFKA_BOOTSTRAP  a broker to use instead of one of its own
  PRM_POSTGRES_DSN     a database server to use instead, as a role that creates databases and roles
  PRM_SMTP_HOST        a mail server to send by; else one is started that keeps all and sends none
  PRM_BACKEND          env (given only), docker (containers), process (processes here), or auto:
                       what is given, else containers if there can be, else processes.
                       Unset: as auto, but no images are pulled
  PRM_KAFKA_IMAGE, PRM_POSTGRES_IMAGE   what containers are made from
"""


@click.group(
    cls=Commands,
    epilog=ENVIRONMENT,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
def cli() -> None:
    """Runs and watches the partner platform on this machine."""
    # It says at every try that a broker is not there yet; that is what waiting means.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


@cli.command()
def up() -> None:
    """Start what does not run, and wait until all is ready."""
    platform = here().up(tell=click.echo)
    _show_status(platform)


@cli.command()
@click.option("--seed", default=1, show_default=True, help="Of the market that is made up.")
@click.option("--partners", default=48, show_default=True, type=click.IntRange(20, 500))
@click.option("--territories", default=200, show_default=True, type=click.IntRange(20, 400))
@click.option("--deals", default=340, show_default=True, type=click.IntRange(34, 5000))
def demo(seed: int, partners: int, territories: int, deals: int) -> None:
    """Start it, play a story with a whole market around it, and leave it running."""

    def market(number: int) -> Market:
        return Market(seed + number - 1, partners, territories, deals)

    platform = here().up(tell=click.echo)
    Story(platform.client, list(platform.services), market, click.echo).play()
    where_to_look(platform, click.echo)


@cli.command()
def down() -> None:
    """Stop it; the data stay."""
    here().down(click.echo)


@cli.command()
@click.argument("service", required=False)
@click.option("--all", "every", is_flag=True, help="One service after the other.")
def restart(service: str | None, every: bool) -> None:
    """Put a new process in the place of SERVICE's; its API answers on meanwhile."""
    if (service is None) is not every:
        raise click.UsageError("Say which SERVICE, or --all.")
    platform = running()
    for name in list(platform.services) if service is None else [service]:
        platform.restart_service(name)
        click.echo(f"{name} at {platform.url(name)}: a new process answers.")


@cli.command()
def clean() -> None:
    """Stop it and remove its data."""
    here().clean(click.echo)


@cli.command()
@click.option("--json", "for_programs", is_flag=True, help="One JSON document.")
def status(for_programs: bool) -> None:
    """What runs, and how far behind it is. Exit code 1 unless all is ready."""
    platform = here()
    ready = _show_json(platform) if for_programs else _show_status(platform)
    raise SystemExit(0 if ready else 1)


def _show_json(platform: Platform) -> bool:
    services, (kafka, postgres) = platform.status(), platform.backends_up()
    click.echo(
        as_json(
            {
                "services": {
                    name: {"url": it.url, "ready": it.ready, "lag": it.lag}
                    for name, it in services.items()
                },
                "kafka": {"bootstrap": kafka},
                "postgres": {"dsn": postgres},
            }
        )
    )
    return _all_ready(services)


def _show_status(platform: Platform) -> bool:
    services, (kafka, postgres) = platform.status(), platform.backends_up()
    click.echo(
        table(
            ("service", "url", "ready", "behind", ""),
            [
                (name, it.url, "yes" if it.ready else "no", it.lag, "; ".join(it.reasons))
                for name, it in services.items()
            ],
        )
    )
    click.echo(f"\nkafka     {kafka or '-'}\npostgres  {without_password(postgres or '-')}")
    return _all_ready(services)


def _all_ready(services: dict[str, ServiceStatus]) -> bool:
    return all(service.ready for service in services.values())


@cli.command()
@click.option("--json", "for_programs", is_flag=True, help="One JSON document.")
def doctor(for_programs: bool) -> None:
    """What is wrong and what to do. Exit code 0: healthy, 1: something is wrong, 2: can't tell."""
    areas = []
    for area in examined(here()):
        areas.append(area)
        if not for_programs:
            click.echo("\n".join(area.lines()))
    if for_programs:
        click.echo(as_json(as_document(areas)))
    raise SystemExit(exit_code(areas))


@cli.command()
@click.argument("service")
@click.option("-n", "--lines", default=50, show_default=True)
@click.option("-f", "--follow", is_flag=True, help="Go on showing what comes.")
def logs(service: str, lines: int, follow: bool) -> None:
    """The last log lines of SERVICE (also: kafka, mail, postgres)."""
    command = here().log_command(service, lines, follow)
    try:
        os.execvp(command[0], command)  # noqa: S606 - becomes it
    except FileNotFoundError:
        raise OpsError(f"There is no {command[0]} here to run: {' '.join(command)}") from None


@cli.command()
@click.option("--role", required=True, type=click.Choice(get_args(Role)))
@click.option("--partner", metavar="ID", help=f"Needed for {' and '.join(OF_A_PARTNER)}.")
@click.option("--person", metavar="NAME", help="Chooses among several with the same role.")
def token(role: Role, partner: str | None, person: str | None) -> None:
    """Print an access token, to try every API by hand."""
    if role in OF_A_PARTNER and not partner:
        raise click.UsageError(f"The role {role} is a partner's: say which with --partner ID.")
    click.echo(running().client.token(role, partner, person))


@cli.group()
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


@cli.group()
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


for command in (backups, import_file, mail, rebuild, verify, restore, stream, events):
    cli.add_command(command)


@cli.group()
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
