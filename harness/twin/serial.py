"""The host's end of a twin's serial line: shaped as pyserial's Serial, in virtual time."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from typing import TYPE_CHECKING

from serial import SerialException

from harness.twin.board import FRAME_US, Board

if TYPE_CHECKING:
    from harness.base.clock import VirtualClock

BYTES_A_FRAME = 19 * 64
"""Full-speed bulk packets that fit into one USB frame."""
ENDPOINT = "cdc"


class TwinSerial:
    """A port, for as long as this boot lasts.

    :ivar port: its name. :ivar serial_number: what the key shows on USB.
    :ivar timeout: how long `read` waits, in seconds of virtual time.
    """

    def __init__(self, board: Board, clock: VirtualClock, port: str):
        self._board, self._clock, self.port = board, clock, port
        self._boot = board.boots
        self._buffer = bytearray()
        self.serial_number = str(getattr(board.firmware, "serial_number", ""))
        self.timeout: float | None = 1.0

    @property
    def _is_there(self) -> bool:
        board = self._board
        return board.firmware is not None and board.boots == self._boot and not board.rail.dead

    def _gone(self) -> SerialException:
        failed = self._board.rail.failed_us
        if failed is not None:
            self._clock.reach_us(failed)
        return SerialException(errno.ENODEV, f"{self.port} is gone from the bus")

    def write(self, data: Iterable[int]) -> int:
        sent = bytes(data)
        self._clock.reach_us(self._clock.now_us + FRAME_US * -(-len(sent) // BYTES_A_FRAME))
        self._fail_if_due(self._clock.now_us)
        if not self._is_there:
            raise self._gone()
        self._board.deliver(ENDPOINT, sent, self._clock.now_us)
        return len(sent)

    def read(self, size: int = 1) -> bytes:
        """`size` bytes, or fewer when the time is up."""
        while len(self._buffer) < size and self._receive():
            pass
        got = bytes(self._buffer[:size])
        del self._buffer[:size]
        return got

    def _receive(self) -> bool:
        """Take the next packet; False when there is none in time."""
        board = self._board
        until_us = self._clock.now_us + round((self.timeout or 0) * 1e6)
        while not board.to_host:
            if not self._is_there:
                raise self._gone()
            if not board.advance(until_us):
                self._clock.reach_us(until_us)
                return False
        packet = board.to_host[0]
        self._fail_if_due(packet.at_us)
        if not self._is_there:
            raise self._gone()
        board.to_host.popleft()
        self._clock.reach_us(packet.at_us)
        self._buffer += packet.data
        return True

    def _fail_if_due(self, at_us: int) -> None:
        """What would happen after the power has failed does not happen."""
        rail = self._board.rail
        if rail.fails_us is not None and rail.fails_us <= at_us and not rail.dead:
            rail.fail(rail.fails_us)
            self._board.firmware = None
            self._board.to_host.clear()

    def close(self) -> None:
        """A twin keeps nothing for a connection."""
