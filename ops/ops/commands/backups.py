"""`prm backup`: copies of the databases and their keys, and the way back."""

import os
from datetime import UTC, datetime
from pathlib import Path

import click

from ops import backup
from ops.commands import Instant, here
from ops.failures import OpsError
from ops.show import table


@click.group("backup")
def backups() -> None:
    """Copies of the databases and their keys, and the way back to any instant."""


@backups.command("take")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def take_backup(folder: Path) -> None:
    """A base backup into FOLDER, while all goes on."""
    base = backup.take(_database(), folder, datetime.now(UTC))
    click.echo(f"{base}: taken and verified.")


@backups.command("follow")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def follow_backup(folder: Path) -> None:
    """Fetch into FOLDER what is written from now on, until it is ended: run it as a service."""
    command, env = backup.follower(_database(), folder)
    os.execvpe(command[0], command, env)  # noqa: S606 - becomes it


@backups.command("list")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def list_backups(folder: Path) -> None:
    """The base backups in FOLDER."""
    rows = [(at.isoformat(), str(base)) for at, base in backup.bases(folder)]
    click.echo(table(("begun", "folder"), rows) if rows else "None.")


@backups.command("restore")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--until", type=Instant(), help="Real time, RFC 3339; else all that was fetched.")
def restore_backup(folder: Path, until: datetime | None) -> None:
    """Bring the databases back from FOLDER. The platform is down; today's data are put aside."""
    platform = here()
    with platform.alone():
        if platform.is_up():
            raise OpsError("The platform runs: `prm down` first.")
        aside = backup.restore(platform.own_postgres(), folder, until, click.echo)
    click.echo(
        f"The databases are back{f' (the data before: {aside})' if aside else ''}. `prm up` starts"
        " the platform; a service whose topics know more than its database says what to do."
    )


def _database() -> str:
    _, dsn = here().backends_up()
    if dsn is None:
        raise OpsError("The database does not run: `make up` starts it.")
    return dsn
