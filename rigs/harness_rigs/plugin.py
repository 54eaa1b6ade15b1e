"""What this package offers to Keyharness."""

from __future__ import annotations

from pathlib import Path

from harness.api import Driver, PowerDriver, TouchDriver, hookimpl


@hookimpl
def keyharness_benches() -> list[Path]:
    here = Path(__file__).parent
    # A wheel has them in the package; a checkout in rigs/, where a user looks for them.
    packaged = here / "benches"
    return [packaged if packaged.is_dir() else here.parent]


@hookimpl
def keyharness_drivers() -> list[Driver]:
    from harness_rigs.emulator.driver import EMULATOR
    from harness_rigs.usb.rig import USB
    from harness_rigs.virtual import VIRTUAL

    return [VIRTUAL, EMULATOR, USB]


@hookimpl
def keyharness_power() -> list[PowerDriver]:
    from harness_rigs.power.all_drivers import POWER

    return POWER


@hookimpl
def keyharness_touch() -> list[TouchDriver]:
    from harness_rigs.touch.all_drivers import TOUCH

    return TOUCH
