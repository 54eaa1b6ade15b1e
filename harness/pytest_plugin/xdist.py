"""Scheduling of pytest-xdist by rig: all tests of a rig run on one worker, in order.

xdist groups by module (`loadscope`) or by mark (`loadgroup`). pytest 9.2 breaks the second with xdist 3.8 without a
message, so the rig is read from the node id: it is always the first parameter.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from harness.pytest_plugin.options import run_path, session_of
from harness.pytest_plugin.recorder import cases_done

END = "~"
"""Ends a rig's name in a node id where that name alone could be misread. No rig's name contains it."""


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell each worker which run it belongs to."""
    node.workerinput["kh_run_path"] = str(run_path(node.config))
    node.workerinput["kh_pid"] = os.getpid()
    node.workerinput["kh_done"] = sorted(cases_done(node.config))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: Sequence[Any]) -> None:
    """Start workers as safe as their controller: a process that was started with -P starts them with -P."""
    for spec in specs:
        if sys.flags.safe_path and spec.popen and not spec.python:
            spec.python = f"{shlex.quote(sys.executable)} -P"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each rig one worker where suites run; other tests keep the scheduling that the user chose."""
    return (
        _schedule_by_rig(config, log, rig_ids(session_of(config).rig_names)) if _runs_suites(config) else None
    )


# tryfirst: xdist has an answer, too, and which plugin was loaded last differs between installations.
@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Make `-n auto` one worker for each rig where suites run: a rig spends most of its time waiting."""
    return len(session_of(config).rig_names) if _runs_suites(config) else None


def rig_ids(rigs: Sequence[str]) -> dict[str, str]:
    """Map each rig to its part of a node id: its name.

    pytest joins parameters with a hyphen. With the rigs "mini" and "mini-1", [mini-1] could be "mini-1" without
    a further parameter, or "mini" with the parameter 1. There the shorter name ends with END.
    """
    return {rig: rig + END if any(other.startswith(f"{rig}-") for other in rigs) else rig for rig in rigs}


def rig_of(nodeid: str, ids: Mapping[str, str]) -> str | None:
    """Return the rig that a node id names; None for a test without one.

    :param ids: as `rig_ids` makes them.
    """
    parameters = nodeid.partition("[")[2].removesuffix("]")
    for rig in sorted(ids, key=lambda name: len(ids[name]), reverse=True):
        if parameters == ids[rig] or parameters.startswith(f"{ids[rig]}-"):
            return rig
    return None


def _schedule_by_rig(config: pytest.Config, log: Any, ids: Mapping[str, str]) -> Any:
    # The import takes 0.1 s, and every pytest with this plugin loads this module.
    from xdist.scheduler import LoadScopeScheduling

    class RigScheduling(LoadScopeScheduling):  # type: ignore[misc]
        """The scope of a test is its rig; the scope of a test without a rig is its file."""

        def _split_scope(self, nodeid: str) -> str:
            return rig_of(nodeid, ids) or nodeid.partition("::")[0]

    return RigScheduling(config, log)


def _runs_suites(config: pytest.Config) -> bool:
    """Whether the arguments of this pytest lie in the folder of a suite, or contain one."""
    from harness.base.errors import KeyharnessError
    from harness.bench.registry import discover

    try:
        folders = [suite.path.resolve() for suite in discover().suites.values()]
    except KeyharnessError:
        return False
    asked = [(config.invocation_params.dir / arg.partition("::")[0]).resolve() for arg in config.args]
    return any(
        one.is_relative_to(folder) or folder.is_relative_to(one) for one in asked for folder in folders
    )
