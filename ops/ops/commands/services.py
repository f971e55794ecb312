"""`prm up` to `prm clean`: the platform of this machine, started, watched, ended."""

import os
from typing import get_args

import click

from ops.client import OF_A_PARTNER, Role
from ops.commands import here, running
from ops.demo.market import Market
from ops.demo.story import Story
from ops.demo.tour import where_to_look
from ops.doctor.examination import examined
from ops.doctor.findings import as_document, exit_code
from ops.failures import OpsError
from ops.platform import Platform, ServiceStatus
from ops.show import as_json, table, without_password


@click.command()
def up() -> None:
    """Start what does not run, and wait until all is ready."""
    platform = here().up(tell=click.echo)
    _show_status(platform)


@click.command()
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


@click.command()
def down() -> None:
    """Stop it; the data stay."""
    here().down(click.echo)


@click.command()
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


@click.command()
def clean() -> None:
    """Stop it and remove its data."""
    here().clean(click.echo)


@click.command()
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


@click.command()
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


@click.command()
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


@click.command()
@click.option("--role", required=True, type=click.Choice(get_args(Role)))
@click.option("--partner", metavar="ID", help=f"Needed for {' and '.join(OF_A_PARTNER)}.")
@click.option("--person", metavar="NAME", help="Chooses among several with the same role.")
def token(role: Role, partner: str | None, person: str | None) -> None:
    """Print an access token, to try every API by hand."""
    if role in OF_A_PARTNER and not partner:
        raise click.UsageError(f"The role {role} is a partner's: say which with --partner ID.")
    click.echo(running().client.token(role, partner, person))
