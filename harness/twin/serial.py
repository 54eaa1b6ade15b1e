"""The host's end of a twin's serial line: shaped as pyserial's Serial, in virtual time."""

from __future__ import annotations

import errno
from collections.abc import Iterable

from serial import SerialException

from harness.base.clock import VirtualClock
from harness.twin.board import FRAME_US, Board
from harness.twin.endpoints import Endpoint

BYTES_PER_FRAME = 19 * 64
"""Full-speed bulk packets that fit into one USB frame."""


class TwinSerial:
    """A port, for as long as one boot lasts.

    :param name: the board's name of the endpoint.
    :ivar port: the port's name. :ivar serial_number: what the key shows on USB; "" if nothing.
    :ivar timeout: how long `read` waits, in seconds of virtual time.
    """

    def __init__(self, board: Board, clock: VirtualClock, name: str, port: str):
        self._endpoint = Endpoint(board, clock, name)
        self._clock = clock
        self._buffer = bytearray()
        self.port = port
        self.serial_number = (board.firmware.serial_number if board.firmware else None) or ""
        self.timeout: float | None = 1.0

    def write(self, data: Iterable[int]) -> int:
        """Send bytes; returns how many.

        :raises SerialException: the key has gone.
        """
        sent = bytes(data)
        try:
            self._endpoint.send(sent, FRAME_US * -(-len(sent) // BYTES_PER_FRAME))
        except OSError as error:
            raise self._gone() from error
        return len(sent)

    def read(self, size: int = 1) -> bytes:
        """Read `size` bytes, or fewer when `timeout` has passed.

        :raises SerialException: the key has gone.
        """
        while len(self._buffer) < size and self._receive():
            pass
        got = bytes(self._buffer[:size])
        del self._buffer[:size]
        return got

    def _receive(self) -> bool:
        """Take the next packet; False when there is none in time."""
        until_us = self._clock.now_us + round((self.timeout or 0) * 1e6)
        try:
            packet = self._endpoint.poll(until_us)
        except OSError as error:
            raise self._gone() from error
        if packet is None:
            self._clock.reach_us(until_us)
            return False
        self._buffer += packet
        return True

    def _gone(self) -> SerialException:
        return SerialException(errno.ENODEV, f"{self.port} is gone from the bus")

    def close(self) -> None:
        """Do nothing: a twin keeps nothing for a connection."""
