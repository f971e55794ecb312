"""The fixtures that all tests share, and what a run needs before the first test is imported."""

# With --import-mode=importlib a test is imported as `<directories>.tests.<module>`, and pytest
# would take the directories chassis/, approvals/ and ops/ for the packages of the same names.
# Packages that are already imported are left alone.
import approvals
import chassis
import ops

__all__ = ["approvals", "chassis", "ops"]

pytest_plugins = ["ops.testing"]
