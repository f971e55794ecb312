"""The fixtures that the tests of all members share."""

pytest_plugins = ["ops.testing"]
