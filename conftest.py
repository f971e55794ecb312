"""The fixtures that all tests share, and what a run needs before the first test is imported."""

from pathlib import Path

import hypothesis
import pytest

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

ROOT = Path(__file__).parent
STORIES = ROOT / "tests" / "integration"


@pytest.hookimpl(tryfirst=True)  # pytest-xdist's own reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With --dist loadgroup a module stays in one process; so do the stories of one platform."""
    for item in items:
        group = STORIES if STORIES in item.path.parents else item.path
        item.add_marker(pytest.mark.xdist_group(str(group.relative_to(ROOT))))
