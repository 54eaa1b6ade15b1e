"""Cut an emulator's power at an instant: the cutter's process sends SIGKILL."""

from __future__ import annotations

from harness.host.cutter import Cutter, Fired
from harness.model.cut_action import Kill
from harness.model.rig import LiveCutter, Shot
from harness_rigs.emulator.emulated_key import EmulatedKey
from harness_rigs.emulator.process import Process

LOST_LIMIT_S = 5.0


class ProcessCutter(LiveCutter):
    def __init__(self, key: EmulatedKey):
        self._key = key
        self._cutter: Cutter | None = None
        self._target: Process | None = None
        self._boot_offset_us: int | None = None

    def _started(self) -> Cutter:
        if self._cutter is None:
            self._cutter = Cutter()
        return self._cutter

    @property
    def realtime(self) -> bool:
        return self._started().realtime

    def arm(self, at_us: int) -> None:
        self._target = self._key.process
        assert self._target is not None, "the key is off"
        self._started().arm(at_us * 1000, Kill(self._target.pidfd))

    def arm_boot(self, offset_us: int) -> bool:
        self._started()
        self._boot_offset_us = offset_us
        return True

    def power_came(self) -> None:
        """The process has been started."""
        offset_us, self._boot_offset_us = self._boot_offset_us, None
        if offset_us is not None:
            self.arm(self._key.clock.now_us + offset_us)

    def collect(self) -> Shot:
        assert self._cutter is not None
        if self._boot_offset_us is not None:
            # It was never given power, so there was nothing to take.
            self._boot_offset_us = None
            return Shot(None, 0.0, None, False)
        return self._shot(self._cutter.collect())

    def disarm(self) -> Shot | None:
        self._boot_offset_us = None
        fired = self._cutter.disarm() if self._cutter is not None else None
        return self._shot(fired) if fired is not None else None

    def _shot(self, fired: Fired) -> Shot:
        assert self._target is not None
        lost_us = self._key.lost_us
        # After a reboot of its own another process has the power, which is taken from it here.
        if self._target is not self._key.process or self._target.wait(LOST_LIMIT_S):
            lost_us = lost_us if lost_us is not None else self._key.clock.now_us
        took = self._key.stop()
        return Shot(fired.before_ns // 1000, fired.late_ns / 1000, lost_us, took)

    def close(self) -> None:
        if self._cutter is not None:
            self._cutter.close()
