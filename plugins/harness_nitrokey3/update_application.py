"""The update of a Nitrokey 3's firmware, as an application of the key: its operations, and what an owner does next."""

from __future__ import annotations

from harness.api import (
    Application,
    Memory,
    NextAction,
    Observation,
    Rig,
    World,
    arrange_nothing,
    holds_nothing,
)
from harness_fido2.next_actions import changed
from harness_nitrokey3 import staged_boots
from harness_nitrokey3.update_items import RUNS, update_memory
from harness_nitrokey3.update_operations import OPERATIONS, arrange, install, not_an_update
from harness_transports.client_random import client_random


def _update_next(rig: Rig, before: Memory, after: Memory, seen: Observation) -> None:
    """Update the firmware. After an operation that updates it there is nothing left to do."""
    if RUNS.name in seen:
        return
    arrange(rig, after)
    install(rig, after)


def _updated(before: Memory, after: Memory, seen: Observation) -> list[World]:
    mine = update_memory(after)
    if RUNS.name in seen:
        return changed(seen, {})
    return changed(seen, {"admin.version": f"v{mine.wanted}", **mine.brought} if mine.wanted else {})


UPDATE = Application(
    "update",
    "Firmware update",
    # The canaries of the applications are what must survive an update.
    arrange_nothing,
    (*OPERATIONS, *staged_boots.OPERATIONS),
    (),
    holds_nothing,
    randomness=client_random,
    next_actions=(
        NextAction("update", "update the firmware", _update_next, _updated, missing=not_an_update),
    ),
)
