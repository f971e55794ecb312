"""`prm mail`: what the mail server of this machine took, and what no server took."""

from itertools import islice

import click

from ops.commands import here, running
from ops.show import table


@click.group()
def mail() -> None:
    """E-mails that the server of this machine keeps and never delivers, and those that failed."""


@mail.command("list")
@click.option("--to", default="", metavar="TEXT", help="Only to addresses or names that have it.")
@click.option("-n", "--limit", default=50, show_default=True)
def list_mails(to: str, limit: int) -> None:
    """List them, newest first."""
    mails = islice(here().mail.box.mails(to), limit)
    rows = [(it.id, it.header("To"), it.header("Subject")) for it in mails]
    click.echo(table(("id", "to", "subject"), rows) if rows else "None.")


@mail.command("show")
@click.argument("id")
@click.option("--raw", is_flag=True, help="As it came over the line.")
def show_mail(id: str, raw: bool) -> None:
    """Show one: its headers and its text."""
    found = here().mail.box.mail(id)
    if raw:
        click.echo(found.file.read_bytes())
        return
    headers = [f"{name}: {value}" for name, value in found.message.items()]
    click.echo("\n".join([*headers, "", found.part("plain")]))


@mail.command("failed")
def failed_mails() -> None:
    """List those that are not tried any more: the server refuses them, or was away for too long."""
    columns = ("notification_id", "template", "reason_code", "smtp_status", "attempts", "failed_at")
    found = running().client.failed_mails()
    rows = [tuple("" if it[name] is None else str(it[name]) for name in columns) for it in found]
    click.echo(table(columns, rows) if rows else "None.")


@mail.command("retry")
@click.argument("ids", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="All that have failed.")
def retry_mails(ids: tuple[str, ...], is_all: bool) -> None:
    """Try to send the e-mails of these notifications again."""
    if bool(ids) is is_all:
        raise click.UsageError("Name notifications, or say --all: `prm mail failed` lists them.")
    client = running().client
    ids = ids or tuple(it["notification_id"] for it in client.failed_mails())
    for each in ids:
        client.retry_mail(each)
    click.echo(f"{len(ids)} e-mails are tried again.")
