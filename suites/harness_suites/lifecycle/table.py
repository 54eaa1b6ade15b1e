"""When the maker's portal updates a device: its maker's words in the thread on a blocked Nitrokey HSM, row by row.

    "You can always perform a firmware update if the device does not contain any keys, or the SO-PIN is blocked";
    the second "is limited to 5 firmware updates"; "an update to the current version is enabled" if the SO-PIN's counter
    is 0; a blocked user PIN does not matter; one needs "at least one working HSM" to log in, and no blocked one.

The table is written down here, apart from the rules in harness_schsm.portal, so that each is checked by the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from harness_schsm.portal import FORCED_MAX, Helper, Why

BOTH = (False, True)


@dataclass(frozen=True)
class Cell:
    """A device, what the portal offers, and what its owner has besides.

    :ivar newer: does the portal offer a newer version than the installed one, or the same?
    """

    keys: bool
    so_blocked: bool
    user_blocked: bool
    newer: bool
    forced: int
    helper: Helper

    def __str__(self) -> str:
        return "-".join(
            (
                "keys" if self.keys else "empty",
                "so_blocked" if self.so_blocked else "so_open",
                "user_blocked" if self.user_blocked else "user_open",
                "newer" if self.newer else "current",
                f"{self.forced}_used",
                f"helper_{self.helper}",
            )
        )


ROWS: dict[tuple[bool, bool, bool, bool], Why] = {
    # keys, SO-PIN blocked, newer version offered, all forced updates used
    (False, False, False, False): Why.CURRENT,
    (False, False, False, True): Why.CURRENT,
    (False, False, True, False): Why.UPDATE,
    (False, False, True, True): Why.UPDATE,
    (False, True, False, False): Why.FORCED,
    (False, True, False, True): Why.WAIT,
    (False, True, True, False): Why.UPDATE,
    (False, True, True, True): Why.UPDATE,
    (True, False, False, False): Why.KEYS,
    (True, False, False, True): Why.KEYS,
    (True, False, True, False): Why.KEYS,
    (True, False, True, True): Why.KEYS,
    (True, True, False, False): Why.FORCED,
    (True, True, False, True): Why.DEAD,
    (True, True, True, False): Why.FORCED,
    (True, True, True, True): Why.DEAD,
}


def sentence(cell: Cell) -> Why:
    """What the owner is told."""
    if cell.helper is not Helper.WORKING:
        return {Helper.NONE: Why.NO_HELPER, Helper.BLOCKED: Why.BLOCKED_HELPER}[cell.helper]
    return ROWS[cell.keys, cell.so_blocked, cell.newer, cell.forced == FORCED_MAX]


CELLS = [Cell(*values) for values in product(BOTH, BOTH, BOTH, BOTH, (0, FORCED_MAX), Helper)]
