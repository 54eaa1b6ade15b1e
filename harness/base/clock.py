"""Time as a thing that is handed in.

Everything here is in whole microseconds. A twin's clock stands still unless somebody works or waits; the
clock of a real rig is the monotonic clock of the host.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """What the harness measures with and waits on."""

    @property
    def now_us(self) -> int: ...

    def wait_us(self, duration_us: int) -> None:
        """Let time pass: at once on a twin, really on a rig."""


class MonotonicClock:
    """The host's monotonic clock."""

    @property
    def now_us(self) -> int:
        return time.monotonic_ns() // 1000

    def wait_us(self, duration_us: int) -> None:
        # An event that nobody sets is a wait that a signal ends, which time.sleep is not since PEP 475.
        threading.Event().wait(duration_us / 1e6)


class VirtualClock:
    """Time that moves only when it is moved, and never backwards."""

    def __init__(self, now_us: int = 0):
        self._now_us = now_us

    @property
    def now_us(self) -> int:
        return self._now_us

    def wait_us(self, duration_us: int) -> None:
        self._now_us += duration_us

    def rewind(self) -> None:
        """Start again at zero, for a state that knows nothing of when it was made."""
        self._now_us = 0

    def reach_us(self, instant_us: int) -> None:
        """Move on to an instant; nothing happens if it has passed."""
        self._now_us = max(self._now_us, instant_us)
