"""How long a key stays without power, so that its charge is gone: only the rest of that time is waited for."""

from __future__ import annotations

from harness.api import Clock


class OffTimer:
    """Begins when the power goes."""

    def __init__(self, clock: Clock, off_time_s: float):
        self._clock, self._duration_us = clock, round(off_time_s * 1e6)
        self._ends_us: int | None = None

    def begin(self) -> None:
        self._ends_us = self._clock.now_us + self._duration_us

    def wait(self) -> None:
        """Wait until the time has passed; return at once if it has, or if it never began."""
        if self._ends_us is not None and (left_us := self._ends_us - self._clock.now_us) > 0:
            self._clock.wait_us(left_us)
