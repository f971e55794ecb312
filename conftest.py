"""The fixtures that all tests share, and what a run needs before the first test is imported."""

import hypothesis
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# With --import-mode=importlib a test is imported as `<directories>.tests.<module>`, and pytest
# would take the directories chassis/, approvals/ and ops/ for the packages of the same names.
# Packages that are already imported are left alone.
import approvals
import chassis
import ops

__all__ = ["approvals", "chassis", "ops"]

pytest_plugins = ["ops.testing"]

# How fast an example runs tells of the machine, not of the code.
hypothesis.settings.register_profile(
    "house", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("house")

STORIES = "tests/integration/"


class InOneProcess(LoadScopeScheduling):
    """Of the processes of a run: a module stays in one, and so do the stories of one platform."""

    def _split_scope(self, nodeid: str) -> str:
        return STORIES if nodeid.startswith(STORIES) else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> InOneProcess:
    return InOneProcess(config, log)
