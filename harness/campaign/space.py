"""Free blocks of a twin's stores: what a cut leaves behind takes room that nobody ever gives back (E2, F4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.campaign.observe import Seen
from harness.model.memory import Look
from harness.model.operation import Item
from harness.model.outcome import Law, Severity, Value
from harness.twin.glass_box import glass_box

SLACK = 2
"""Blocks that the metadata of a file system may take besides: how a directory is spread depends on its history, and
each further part of one is a pair of blocks.
"""


def _free(look: Look) -> Value:
    """The free blocks of each mounted store, by its name; the status of a key tells 255 at most."""
    glass = glass_box(look.rig)
    return tuple(glass.free_blocks().values()) if glass else ()


FREE_BLOCKS = Item(
    "twin.free_blocks",
    Law.ROOM,
    _free,
    "the free blocks of each store",
    Severity.S2,
    # After everything else, so that what the look itself writes has been written.
    spends=frozenset({"nothing, and comes last"}),
    after_replug=True,
)


def least_room(items: Sequence[Item], before: Seen, after: Seen) -> Mapping[str, tuple[int, ...]]:
    """Return how much of each store must be free after any cut.

    :param before: what was seen before the operation. :param after: what is seen after the uncut one.
    """
    found: dict[str, tuple[int, ...]] = {}
    for item in items:
        was, now = before.values.get(item.name), after.values.get(item.name)
        if item.law is not Law.ROOM or not isinstance(was, tuple):
            continue
        ends = now if isinstance(now, tuple) and len(now) == len(was) else was
        found[item.name] = tuple(min(one, other) - SLACK for one, other in zip(was, ends))
    return found
