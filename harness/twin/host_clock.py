"""The host's clock beside a twin: virtual, and never behind what the host has seen."""

from __future__ import annotations

from harness.base.clock import VirtualClock
from harness.twin.board import Board


class HostClock(VirtualClock):
    """The host's time. While the host waits, a board with power does what it would do by itself."""

    def __init__(self, board: Board):
        super().__init__()
        self._board = board

    def wait_us(self, duration_us: int) -> None:
        super().wait_us(duration_us)
        while self._board.firmware is not None and self._board.advance(self.now_us):
            pass
        self._board.clock.reach_us(self.now_us)
