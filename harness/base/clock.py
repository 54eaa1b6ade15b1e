"""Clocks: the monotonic clock of the host, and the virtual clock of a twin.

All times are whole microseconds. A virtual clock moves only when code moves it or waits.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """A clock that can be read and waited on."""

    @property
    def now_us(self) -> int: ...

    def wait_us(self, duration_us: int) -> None:
        """Wait: at once on a virtual clock, really on a real one."""


class MonotonicClock:
    """The host's monotonic clock."""

    @property
    def now_us(self) -> int:
        return time.monotonic_ns() // 1000

    def wait_us(self, duration_us: int) -> None:
        # A signal ends the wait for an event; since PEP 475 it does not end time.sleep.
        threading.Event().wait(duration_us / 1e6)


class VirtualClock:
    """A clock that moves only when code moves it, and never backwards.

    :ivar now_us: only the methods set it. It is a plain attribute because each look reads it a thousand times.
    """

    def __init__(self, now_us: int = 0):
        self.now_us = now_us

    def wait_us(self, duration_us: int) -> None:
        self.now_us += duration_us

    def rewind(self) -> None:
        """Start again at zero, for a restored state: it does not record when it was made."""
        self.now_us = 0

    def reach_us(self, instant_us: int) -> None:
        """Move forward to an instant; do nothing if it has passed."""
        if instant_us > self.now_us:
            self.now_us = instant_us
