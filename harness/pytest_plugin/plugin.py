"""The pytest plugin `keyharness`, in parts.

Every pytest of an environment that has Keyharness loads these modules, so they import nothing heavy until a test
asks for a rig.
"""

from __future__ import annotations

pytest_plugins = (
    "harness.pytest_plugin.options",
    "harness.pytest_plugin.clashes",
    "harness.pytest_plugin.deviations",
    "harness.pytest_plugin.fixtures",
    "harness.pytest_plugin.last_failed",
    "harness.pytest_plugin.recorder",
    "harness.pytest_plugin.waits",
    "harness.pytest_plugin.xdist",
)
