"""Cut an emulator's power at an instant: the cutter's process sends SIGKILL."""

from __future__ import annotations

from harness.host.cutter import Fired
from harness.model.cut_action import Kill
from harness.model.rig import Shot
from harness_rigs.emulator.emulated_key import EmulatedKey
from harness_rigs.emulator.process import Process
from harness_rigs.live_cutter import ProcessCutter

LOST_LIMIT_S = 5.0


class KillCutter(ProcessCutter):
    """The cutter of an emulator rig."""

    def __init__(self, key: EmulatedKey):
        super().__init__()
        self._key = key
        self._target: Process | None = None

    def arm(self, at_us: int) -> None:
        self._target = self._key.process
        assert self._target is not None, "the key is off"
        self.started().arm(at_us * 1000, Kill(self._target.pidfd))

    def arm_in_boot(self, at_us: int) -> None:
        self.arm(at_us)

    def collect(self) -> Shot:
        if self._boot_offset_us is not None:
            # The key was never given power: there was nothing to cut.
            self._boot_offset_us = None
            return Shot(None, 0.0, None, False)
        return self._shot(self.started().collect())

    def disarm(self) -> Shot | None:
        self._boot_offset_us = None
        fired = self._process.disarm() if self._process is not None else None
        return self._shot(fired) if fired is not None else None

    def _shot(self, fired: Fired) -> Shot:
        assert self._target is not None
        lost_us = self._key.lost_us
        # After a reboot by the key itself another process has the power; `stop` takes it.
        if self._target is not self._key.process or self._target.wait(LOST_LIMIT_S):
            lost_us = lost_us if lost_us is not None else self._key.clock.now_us
        took = self._key.stop()
        return Shot(fired.before_ns // 1000, fired.late_ns / 1000, lost_us, took)
