"""`prm rebuild` and `prm verify`: read models against the log that they are projected from."""

import click

from ops.commands import here
from ops.read_models import ReadModels, as_document
from ops.show import as_json, table

MIB = 2**20


@click.command()
@click.argument("service")
@click.argument("model", required=False)
@click.option("--only-verify", is_flag=True, help="Compare, and leave all as it is.")
@click.option("--accept-differences", is_flag=True, help="Put it in place whatever differs.")
def rebuild(service: str, model: str | None, only_verify: bool, accept_differences: bool) -> None:
    """Fill MODEL of SERVICE anew from the log, and put it in the place of the one in use.

    That serves meanwhile. Without MODEL: which there are, their sizes, when each was rebuilt.
    """
    models = ReadModels.of(here(), service)
    if model is None:
        rows = [
            (it.name, it.fed_by, it.rows, f"{it.bytes / MIB:.1f}", it.rebuilt)
            for it in models.listed()
        ]
        click.echo(table(("model", "fed by", "rows (about)", "MiB", "last rebuild"), rows))
        return
    if only_verify:
        verdict = models.verify(model, click.echo)
        click.echo("\n".join(verdict.lines()))
        raise SystemExit(0 if verdict.is_equal else 1)
    verdict = models.rebuild(model, accepts_differences=accept_differences, tell=click.echo)
    click.echo("\n".join(verdict.lines()))


@click.command()
@click.argument("service")
@click.option("--models", is_flag=True, required=True, help="The read models against their log.")
@click.option("--json", "for_programs", is_flag=True, help="One JSON document.")
def verify(service: str, models: bool, for_programs: bool) -> None:
    """Compare what SERVICE keeps with its log; all goes on meanwhile. Exit code 1: they differ."""

    def tell(line: str) -> None:
        click.echo(line, err=True)

    verdicts = ReadModels.of(here(), service).verify_all(tell)
    if for_programs:
        click.echo(as_json(as_document(verdicts)))
    else:
        click.echo("\n".join(line for verdict in verdicts for line in verdict.lines()))
    raise SystemExit(0 if all(verdict.is_equal for verdict in verdicts) else 1)
