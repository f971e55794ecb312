"""`prm rebuild`: read models filled anew from the log that they are projected from."""

import click

from ops.commands import here
from ops.read_models import ReadModels
from ops.show import table

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
