"""The groups of the command line, and what their commands begin with."""

from datetime import datetime
from typing import Any

import click

from ops.failures import OpsError
from ops.platform import Platform
from ops.settings import Settings


def here() -> Platform:
    return Platform(Settings.read())


def running() -> Platform:
    platform = here()
    if not platform.is_up():
        raise OpsError("The platform is not running: `make up` starts it.")
    return platform


class Instant(click.ParamType):
    name = "instant"

    def convert(self, value: Any, param: Any, ctx: Any) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value} is no instant such as 2027-03-01T09:00:00Z", param, ctx)
        if at.tzinfo is None:
            self.fail(f"{value} does not say its offset: add Z for UTC", param, ctx)
        return at
