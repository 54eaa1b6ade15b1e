"""Cut a real key's power at an instant: by the cutter's process where the switch allows it, else by a thread."""

from __future__ import annotations

import os
import select
from typing import Protocol

from harness.api import CutAction, CutInstant, PowerSwitch, RigError, SwitchDelay
from harness_rigs.live_cutter import ProcessCutter
from harness_rigs.usb.plugged_key import PluggedKey
from harness_rigs.usb.thread_cut import ThreadCut


class PoweredRig(Protocol):
    """What the cutter needs of its rig."""

    power: PowerSwitch
    """The switch through which a cut is accounted for: a claim puts its journal around it."""


class UsbCutter(ProcessCutter):
    """The cutter of a hardware rig.

    :param actuator: the bench's power switch, bare.
    """

    def __init__(self, rig: PoweredRig, key: PluggedKey, actuator: PowerSwitch):
        super().__init__()
        self._rig, self._key, self._actuator = rig, key, actuator
        self._prepared = False
        self._action: CutAction | None = None
        self._own: ThreadCut | None = None
        self._over_us: int | None = None
        least_us, most_us = actuator.release_us or (0, None)
        self.delay = SwitchDelay(least_us, most_us, seen_after=actuator.seen_after)

    def prepare(self) -> None:
        """Do what takes time before the instant is known: open the switch, write ahead, start the process."""
        if not self._prepared:
            self.started()
            self._action = self._rig.power.cut_action()
            self._prepared = True

    def arm_cut(self, cut: CutInstant) -> None:
        self.prepare()
        if self._action is not None:
            self.started().arm(cut, self._action)
        else:
            # The bare switch: what a cut costs was spent and written ahead by `cut_action`.
            self._own = ThreadCut(self._actuator, cut)

    def arm_boot(self, offset_us: int, lead_us: int = 0) -> bool:
        # What takes time is done now. The cut action is made again when the power has come, because switching
        # on closes what had been opened for it before.
        self.started()
        self._rig.power.cut_action()
        return super().arm_boot(offset_us, lead_us)

    def arm_in_boot(self, cut: CutInstant) -> None:
        self._action, self._prepared = self._actuator.cut_action(), True
        self.arm_cut(cut)

    @property
    def fired_fd(self) -> int | None:
        """Readable once the armed cut has fired; None while none is armed."""
        if self._own is not None:
            return self._own.fired_fd
        if self._process is not None and self._process.armed:
            return self._process.fileno()
        return None

    @property
    def has_fired(self) -> bool:
        """Has the armed cut fired, and not been collected yet?"""
        fd = self.fired_fd
        return fd is not None and bool(select.select([fd], [], [], 0)[0])

    def collect(self) -> CutInstant:
        self._over_us = self._key.clock.now_us
        if self._own is not None:
            own, self._own = self._own, None
            with own:
                return self._seen(own.wait())
        return self._seen(self.started().collect())

    def disarm(self) -> CutInstant | None:
        self._in_boot = None
        if self._own is not None:
            own, self._own = self._own, None
            with own:
                if not own.call_off():
                    return self._seen(own.wait())
        elif self._process is not None and (cut := self._process.disarm()) is not None:
            return self._seen(cut)
        return None

    def forget(self) -> None:
        """The power was switched otherwise: what was prepared is of another boot."""
        self._prepared, self._action, self._in_boot = False, None, None

    def _seen(self, cut: CutInstant) -> CutInstant:
        """See the key go, after the cut has fired.

        :raises RigError: the switch did not take the command.
        """
        key = self._key
        assert cut.fired_us is not None
        if cut.error:
            self.forget()
            raise RigError(
                f'rig "{key.rig}": its power could not be cut',
                found=os.strerror(cut.error),
                expected="a switch that takes the command",
                mend="see to its cable, then `keyharness doctor`",
            )
        left_us = key.left_us
        self._rig.power.after_cut()
        key.power_went()
        self.forget()
        lost_us = key.see_it_go(cut.fired_us)
        over_us, self._over_us = self._over_us, None
        if left_us is not None and left_us < cut.fired_us:
            key.left_by_itself()
        if left_us is not None and over_us is not None and left_us <= over_us < cut.fired_us:
            # The operation ended because the key left, before the cut. A key that was told to reboot leaves as
            # well, but then the operation goes on.
            key.deaths.note(
                f"left the bus by itself {(cut.fired_us - left_us) / 1000:.1f} ms before it was cut"
            )
            return cut.seen(left_us, took=False)
        return cut.seen(lost_us, took=True)

    def close(self) -> None:
        if self._own is not None:
            with self._own:
                self._own.call_off()
        super().close()
