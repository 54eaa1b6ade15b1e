"""Cuts a real key's power at an instant: by the cutter's process where the switch allows it.

A switch that only this process can work is worked by a thread of it, which waits for the interpreter like all
others: later by milliseconds, and how much is recorded with every cut.
"""

from __future__ import annotations

import os
import select
import threading
import time
from typing import TYPE_CHECKING

from harness.base.errors import KeyharnessError, RigError
from harness.host.cutter import Cutter
from harness.model.cut_action import CutAction
from harness.model.rig import LiveCutter, PowerSwitch, Shot

if TYPE_CHECKING:
    from harness_rigs.usb.rig import UsbRig

OWN_LIMIT_S = 30.0


class _OwnCut:
    """One cut by a thread of this process."""

    def __init__(self, switch: PowerSwitch, at_us: int):
        self._switch, self._at_us = switch, at_us
        self.fired_us: int | None = None
        self.error: KeyharnessError | OSError | None = None
        self._called_off = threading.Event()
        self.fired_fd = os.eventfd(0, os.EFD_CLOEXEC)
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="cut", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        left_s = self._at_us / 1e6 - time.monotonic()
        if left_s > 0 and self._called_off.wait(left_s):
            return
        with self._lock:
            if self._called_off.is_set():
                return
            self.fired_us = time.monotonic_ns() // 1000
        os.eventfd_write(self.fired_fd, 1)
        try:
            self._switch.off()
        except (KeyharnessError, OSError) as error:
            self.error = error

    def call_off(self) -> bool:
        """Was it in time?"""
        with self._lock:
            self._called_off.set()
        return self.fired_us is None

    def wait(self) -> int:
        """When it fired."""
        self._thread.join(max(0.0, self._at_us / 1e6 - time.monotonic()) + OWN_LIMIT_S)
        if self.error is not None:
            raise self.error
        if self._thread.is_alive() or self.fired_us is None:
            raise RigError("the switch did not return", found=f"nothing within {OWN_LIMIT_S:.0f} s")
        return self.fired_us

    def __enter__(self) -> _OwnCut:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fired_fd)


class UsbCutter(LiveCutter):
    """The cutter of a hardware rig."""

    def __init__(self, rig: UsbRig):
        self._rig = rig
        self._cutter: Cutter | None = None
        self._prepared = False
        self._action: CutAction | None = None
        self._own: _OwnCut | None = None
        self._at_us = 0
        self._over_us: int | None = None
        self._boot_offset_us: int | None = None

    def _started(self) -> Cutter:
        if self._cutter is None:
            self._cutter = Cutter()
        return self._cutter

    @property
    def realtime(self) -> bool:
        return self._started().realtime

    def prepare(self) -> None:
        """Do what takes time before the instant is known: open the switch, write ahead, start the process."""
        if not self._prepared:
            self._started()
            self._action = self._rig.power.cut_action()
            self._prepared = True

    def arm(self, at_us: int) -> None:
        self.prepare()
        self._at_us = at_us
        if self._action is not None:
            self._started().arm(at_us * 1000, self._action)
        else:
            # The bare switch: what a cut costs was spent and written ahead by `cut_action`.
            self._own = _OwnCut(self._rig.actuator, at_us)

    def arm_boot(self, offset_us: int) -> bool:
        # What takes time is done now. The cut action is made again when the power has come, because switching
        # on closes what had been opened for it before.
        self._started()
        self._rig.power.cut_action()
        self._boot_offset_us = offset_us
        return True

    def power_came(self, at_us: int) -> None:
        """The rig has given the key its power."""
        offset_us, self._boot_offset_us = self._boot_offset_us, None
        if offset_us is not None:
            self._action, self._prepared = self._rig.actuator.cut_action(), True
            self.arm(at_us + offset_us)

    @property
    def fired_fd(self) -> int | None:
        """Readable once the armed cut has fired; None while none is armed."""
        if self._own is not None:
            return self._own.fired_fd
        if self._cutter is not None and self._cutter.armed:
            return self._cutter.fileno()
        return None

    @property
    def has_fired(self) -> bool:
        """Has the armed cut fired, and not been collected yet?"""
        fd = self.fired_fd
        return fd is not None and bool(select.select([fd], [], [], 0)[0])

    def collect(self) -> Shot:
        self._over_us = self._rig.clock.now_us
        if self._own is not None:
            own, self._own = self._own, None
            with own:
                return self._shot(own.wait())
        assert self._cutter is not None
        fired = self._cutter.collect()
        return self._shot(fired.before_ns // 1000, fired.error)

    def disarm(self) -> Shot | None:
        self._boot_offset_us = None
        if self._own is not None:
            own, self._own = self._own, None
            with own:
                if not own.call_off():
                    return self._shot(own.wait())
        elif self._cutter is not None and (fired := self._cutter.disarm()) is not None:
            return self._shot(fired.before_ns // 1000, fired.error)
        return None

    def forget(self) -> None:
        """The power was switched otherwise: what was prepared is of another boot."""
        self._prepared, self._action, self._boot_offset_us = False, None, None

    def _shot(self, fired_us: int, error: int = 0) -> Shot:
        rig = self._rig
        if error:
            self.forget()
            raise RigError(
                f'rig "{rig.name}": its power could not be cut',
                found=os.strerror(error),
                expected="a switch that takes the command",
                mend="see to its cable, then `keyharness doctor`",
            )
        left_us = rig.left_us
        rig.power.after_cut()
        rig.power_went()
        lost_us = rig.see_it_go()
        over_us, self._over_us = self._over_us, None
        if left_us is not None and over_us is not None and left_us <= over_us < fired_us:
            # The operation ended with it, and nobody had cut. A key that was told to reboot leaves as well, but
            # then the operation goes on.
            rig.note_death(f"left the bus by itself {(fired_us - left_us) / 1000:.1f} ms before it was cut")
            return Shot(fired_us, float(fired_us - self._at_us), left_us, False)
        return Shot(fired_us, float(fired_us - self._at_us), lost_us, True)

    def close(self) -> None:
        if self._own is not None:
            with self._own:
                self._own.call_off()
        if self._cutter is not None:
            self._cutter.close()
