"""How a rig is called in a node id, where pytest joins it and further parameters with a hyphen."""

from __future__ import annotations

from collections.abc import Sequence

END = "~"
"""No rig's name has it."""


def rig_ids(rigs: Sequence[str]) -> dict[str, str]:
    """Rig -> its part of a node id: its name.

    With the rigs "mini" and "mini-1", [mini-1] could be either with a parameter 1 or without one: there the
    shorter one gets an end of its own.
    """
    return {rig: rig + END if any(other.startswith(f"{rig}-") for other in rigs) else rig for rig in rigs}
