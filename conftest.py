"""What every test run needs before its first test: packages, settings, shared fixtures."""

import hypothesis

# With --import-mode=importlib a test is imported as `<directories>.tests.<module>`, and pytest
# would take the directories chassis/, approvals/ and ops/ for the packages of the same names.
# Packages that are already imported are left alone.
import approvals
import chassis
import ops

__all__ = ["approvals", "chassis", "ops"]

pytest_plugins = ["ops.testing"]

# A busy machine is no counterexample.
hypothesis.settings.register_profile("house", deadline=None)
hypothesis.settings.load_profile("house")
