"""The administrator's step before services start: topics, databases, roles, migrations."""

from collections.abc import Callable, Sequence

from ops.registry import Service
from ops.state import Addresses, State


def prepare(
    state: State, services: Sequence[Service], tell: Callable[[str], None]
) -> dict[str, Addresses]:
    """Repeatable: makes what is missing, and answers with where each service's own data are."""
    raise NotImplementedError
