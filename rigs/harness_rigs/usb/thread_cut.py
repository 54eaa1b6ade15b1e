"""Cut by a thread, for a switch that only this process can work.

The thread waits for the interpreter like all others: it is late by milliseconds, and how much is recorded with every
cut.
"""

from __future__ import annotations

import os
import threading
import time

from harness.api import CutInstant, KeyharnessError, PowerSwitch, RigError

OWN_LIMIT_S = 30.0


class ThreadCut:
    """One cut by a thread of this process.

    :param cut: it is made at `cut.armed_us`.
    :ivar fired_fd: readable once it has fired.
    """

    def __init__(self, switch: PowerSwitch, cut: CutInstant):
        self._switch, self._cut = switch, cut
        self._fired_us: int | None = None
        self._acted_us: int | None = None
        self.error: KeyharnessError | OSError | None = None
        self._called_off = threading.Event()
        self.fired_fd = os.eventfd(0, os.EFD_CLOEXEC)
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="cut", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        left_s = self._cut.armed_us / 1e6 - time.monotonic()
        if left_s > 0 and self._called_off.wait(left_s):
            return
        with self._lock:
            if self._called_off.is_set():
                return
            self._fired_us = time.monotonic_ns() // 1000
        os.eventfd_write(self.fired_fd, 1)
        try:
            self._switch.off()
        except (KeyharnessError, OSError) as error:
            self.error = error
        self._acted_us = time.monotonic_ns() // 1000

    def call_off(self) -> bool:
        """Call it off; False if it has fired already."""
        with self._lock:
            self._called_off.set()
        return self._fired_us is None

    def wait(self) -> CutInstant:
        """Wait until the switch has returned: the cut, with when it was told and when it had returned.

        :raises RigError: the switch did not return.
        """
        self._thread.join(max(0.0, self._cut.armed_us / 1e6 - time.monotonic()) + OWN_LIMIT_S)
        if self.error is not None:
            raise self.error
        if self._thread.is_alive() or self._fired_us is None:
            raise RigError("the switch did not return", found=f"nothing within {OWN_LIMIT_S:.0f} s")
        return self._cut.fired(self._fired_us, self._acted_us)

    def __enter__(self) -> ThreadCut:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fired_fd)
