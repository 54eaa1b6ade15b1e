"""Power cycles of a key that nobody controlled: find them, look at the key, and write both down before anything else.

Between two runs a key may lose its power without any run knowing: the host was rebooted, or a power board started and
gave power to its ports by itself (a YKUSH does). Such a power cycle may have cut a write, too.
"""

from __future__ import annotations

import json
import sys

from harness.base.errors import Refused
from harness.evidence.ledger import Ledger
from harness.model.memory import Look, Memory
from harness.model.outcome import Observation
from harness.model.rig import KeyGone, Rig

REBOOTED = "the host has been rebooted since the key was last used, or the key was used on another host"
CAME_BY_ITSELF = "its port was left without power, and has power now: the board gave it, or another program"


def free_items(rig: Rig) -> Observation:
    """Observe every item whose observation costs nothing; what the key refuses is a value. The key must be on."""
    look, values = Look(rig, Memory(), Memory()), {}
    for item in rig.key.items:
        if item.spends or item.after_replug or item.face not in ("", rig.face):
            continue
        try:
            values[item.name] = item.observe(look)
        except KeyGone:
            raise
        except Exception as error:
            if (fault := rig.key.fault(error)) is None:
                raise
            values[item.name] = fault.value if isinstance(fault, Refused) else fault.what
    return values


def look_after_uncontrolled(rig: Rig, ledger: Ledger, key: str, boot: str, *, came_by_itself: bool) -> None:
    """Note a power cycle that no run controlled, with what the key shows before anything is written to it.

    :param key: its proved identity.
    :param boot: what names this boot of the host; "" if that is not known.
    :param came_by_itself: the port has power although it was left without.
    :raises RigError: it cannot be written down.
    """
    before = ledger.boot_of(key)
    reasons = [REBOOTED] if boot and before and before != boot else []
    reasons += [CAME_BY_ITSELF] if came_by_itself else []
    seen = free_items(rig) if reasons else {}
    ledger.note_boot(
        key, boot or before or "", rig.name, "; ".join(reasons), json.dumps(seen, sort_keys=True)
    )
    if reasons:
        sys.stderr.write(
            f'rig "{rig.name}": a power cycle that was not controlled: {"; ".join(reasons)}. '
            f"`keyharness history {key}` shows what the key showed before anything was written\n"
        )
