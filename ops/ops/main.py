"""The command line `prm`."""

import logging
from typing import Any

import click

from ops.commands.backups import backups
from ops.commands.clocks import clock
from ops.commands.deliveries import dlq, lag
from ops.commands.facts import events, stream
from ops.commands.imports import import_file
from ops.commands.mails import mail
from ops.commands.read_models import rebuild
from ops.commands.recovery import restore, verify
from ops.commands.services import clean, demo, doctor, down, logs, restart, status, token, up
from ops.failures import OpsError


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


for command in (up, demo, down, restart, clean, status, doctor, logs, token):
    cli.add_command(command)
for command in (backups, clock, dlq, events, import_file, lag, mail, rebuild, restore, stream):
    cli.add_command(command)
cli.add_command(verify)
