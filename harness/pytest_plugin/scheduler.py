"""xdist's scheduling by rig: all tests of a rig run on one worker, in order.

xdist groups by module (`loadscope`) or by mark (`loadgroup`); pytest 9.2 breaks the latter with xdist 3.8
silently, so the scope is taken from the node id here: the rig is always the first parameter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xdist.scheduler import LoadScopeScheduling


class RigScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """The scope of a test is its rig; of a test without one, its file.

    :param ids: see `harness.pytest_plugin.rig_ids`.
    """

    def __init__(self, config: Any, log: Any, ids: Mapping[str, str]):
        super().__init__(config, log)
        self._ids = ids

    def _split_scope(self, nodeid: str) -> str:
        return rig_of(nodeid, self._ids) or nodeid.partition("::")[0]


def rig_of(nodeid: str, ids: Mapping[str, str]) -> str | None:
    """The rig in a node id's brackets; None for a test without one."""
    parameters = nodeid.partition("[")[2].removesuffix("]")
    for rig in sorted(ids, key=lambda name: len(ids[name]), reverse=True):
        if parameters == ids[rig] or parameters.startswith(f"{ids[rig]}-"):
            return rig
    return None
