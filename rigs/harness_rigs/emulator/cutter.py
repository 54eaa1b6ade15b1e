"""Cut an emulator's power at an instant: the cutter's process sends SIGKILL."""

from __future__ import annotations

import errno
from dataclasses import replace

from harness.api import CutInstant, Kill, RigError, SwitchDelay
from harness_rigs.emulator.emulated_key import EmulatedKey
from harness_rigs.emulator.process import Process
from harness_rigs.live_cutter import ProcessCutter

LOST_LIMIT_S = 5.0


class KillCutter(ProcessCutter):
    """The cutter of an emulator rig.

    Its process sees the emulator end: then the power is gone.
    """

    delay = SwitchDelay(least_us=0, most_us=0)

    def __init__(self, key: EmulatedKey):
        super().__init__()
        self._key = key
        self._target: Process | None = None

    def arm_cut(self, cut: CutInstant) -> None:
        self._target = self._key.process
        assert self._target is not None, "the key is off"
        self.started().arm(cut, Kill(self._target.power()))

    def collect(self) -> CutInstant:
        cut, self._in_boot = self._in_boot, None
        if cut is not None:
            # The key was never given power: there was nothing to cut.
            return cut
        return self._seen(self.started().collect())

    def disarm(self) -> CutInstant | None:
        self._in_boot = None
        cut = self._process.disarm() if self._process is not None else None
        return self._seen(cut) if cut is not None else None

    def _seen(self, cut: CutInstant) -> CutInstant:
        """See the process go, after the cut has fired.

        :raises RigError: the emulator did not end.
        """
        assert self._target is not None
        if cut.error == errno.ETIMEDOUT:
            raise RigError(
                "the emulator did not end after SIGKILL",
                found="a process that waits in the kernel",
                expected="its end within 3 s",
                mend="see what it waits for (`ps -o stat,wchan`): a slow disk, a debugger",
            )
        lost_us = self._key.lost_us
        rebooted = self._target is not self._key.process
        if rebooted or self._target.wait(LOST_LIMIT_S):
            lost_us = lost_us if lost_us is not None else self._key.clock.now_us
        took = self._key.stop()
        if rebooted:
            # After a reboot by the key itself another process has the power; `stop` took it.
            cut = replace(cut, acted_us=self._key.clock.now_us)
        return cut.seen(lost_us, took=took)
