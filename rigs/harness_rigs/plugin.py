"""What this package offers to Keyharness."""

from __future__ import annotations

from harness.hooks import Driver, hookimpl


@hookimpl
def keyharness_drivers() -> list[Driver]:
    from harness_rigs.emulator import EMULATOR
    from harness_rigs.virtual import VIRTUAL

    return [VIRTUAL, EMULATOR]
