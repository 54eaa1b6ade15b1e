"""The power of an emulator: its process is started and killed."""

from __future__ import annotations

from harness.api import PowerSwitch
from harness_rigs.emulator.cutter import KillCutter
from harness_rigs.emulator.emulated_key import EmulatedKey


class ProcessSwitch(PowerSwitch):
    """Starts the process and kills it."""

    def __init__(self, key: EmulatedKey, cutter: KillCutter):
        self._key, self._cutter = key, cutter

    @property
    def is_on(self) -> bool:
        return self._key.process is not None

    def on(self) -> None:
        """Start it and wait until it is ready; if it does not get there, `wait_until_up` says why."""
        if not self.is_on:
            self._key.start()
            self._cutter.power_came(self._key.clock.now_us)
            self._key.get_ready()

    def off(self) -> None:
        self._key.stop()
