"""xdist's scheduling by rig: all tests of a rig run on one worker, in order.

xdist groups by module (`loadscope`) or by mark (`loadgroup`); pytest 9.2 breaks the latter with xdist 3.8
silently, so the scope is taken from the node id here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xdist.scheduler import LoadScopeScheduling


class RigScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """The scope of a test is its rig; of a test without one, its file.

    :param rigs: the names of the bench's rigs.
    """

    def __init__(self, config: Any, log: Any, rigs: Sequence[str]):
        super().__init__(config, log)
        self._rigs = sorted(rigs, key=len, reverse=True)

    def _split_scope(self, nodeid: str) -> str:
        return rig_of(nodeid, self._rigs) or nodeid.partition("::")[0]


def rig_of(nodeid: str, rigs: Sequence[str]) -> str | None:
    """The rig in a node id's brackets, where it is the first parameter; longer names come first in `rigs`."""
    parameters = nodeid.partition("[")[2].removesuffix("]")
    for rig in rigs:
        if parameters == rig or parameters.startswith(f"{rig}-"):
            return rig
    return None
