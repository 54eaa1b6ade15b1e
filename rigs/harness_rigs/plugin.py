"""What this package offers to Keyharness."""

from __future__ import annotations

from harness.hooks import Driver, PowerDriver, TouchDriver, hookimpl


@hookimpl
def keyharness_drivers() -> list[Driver]:
    from harness_rigs.emulator import EMULATOR
    from harness_rigs.usb import USB
    from harness_rigs.virtual import VIRTUAL

    return [VIRTUAL, EMULATOR, USB]


@hookimpl
def keyharness_power() -> list[PowerDriver]:
    from harness_rigs.power.every import POWER

    return POWER


@hookimpl
def keyharness_touch() -> list[TouchDriver]:
    from harness_rigs.touch.every import TOUCH

    return TOUCH
