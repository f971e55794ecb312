"""`prm import`: the initial load, with the times at which things were true."""

from pathlib import Path

import click

from ops.commands import running
from ops.importing.importer import Importer
from ops.importing.kinds import KINDS
from ops.importing.rows import FileUnreadable


@click.command("import")
@click.argument("kind", type=click.Choice(tuple(KINDS)))
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--dry-run", is_flag=True, help="Only say what is wrong with it: nothing is sent.")
@click.option("--as", "person", default="Import", show_default=True, metavar="NAME")
@click.option(
    "--approver",
    metavar="NAME",
    help="Who approves partners and territories: another person than --as.",
)
def import_file(kind: str, file: Path, dry_run: bool, person: str, approver: str | None) -> None:
    """Load a FILE of JSON Lines or CSV: a row becomes commands of KIND, told as of its own time.

    Again, it goes on where it stopped; nothing is done twice. Exit code 1: rows were refused, see
    FILE.errors.jsonl; 2: the file cannot be read.
    """
    if approver and approver.casefold() == person.casefold():
        raise click.UsageError("Who tells it cannot approve it: name another person.")
    asked = Importer(running().client, KINDS[kind], file, person, approver, click.echo)
    try:
        count = asked.run(is_dry=dry_run)
    except FileUnreadable as error:
        raise click.UsageError(str(error)) from error
    done = "can be imported" if dry_run else "imported"
    click.echo(f"{count.done:,} {done}, {count.before:,} were before, {count.refused:,} refused.")
    click.get_current_context().exit(1 if count.refused else 0)
