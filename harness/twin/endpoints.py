"""The raw endpoints of a twin: packets, APDUs and feature reports in virtual time, for as long as one boot lasts."""

from __future__ import annotations

import errno

from harness.base.clock import VirtualClock
from harness.base.errors import HarnessFault
from harness.twin.board import FRAME_US, Board

CTAPHID, CARD, FEATURE = "ctaphid", "ccid", "hid-feature"
"""The board's own names of its endpoints."""
BYTES_PER_FRAME = 64
"""A full-speed bulk packet; a short APDU of several takes as many frames."""


class _Endpoint:
    """One endpoint of a board, from the host's side.

    :param name: the board's own name of it.
    """

    def __init__(self, board: Board, clock: VirtualClock, name: str):
        self._board, self._clock, self._name = board, clock, name
        self._boot = board.boots

    def _gone(self) -> OSError:
        failed = self._board.rail.failed_us
        if failed is not None:
            self._clock.reach_us(failed)
        if self._board.panicked:
            return OSError(errno.ETIMEDOUT, "the key halted and does not answer")
        return OSError(errno.ENODEV, "the key is gone from the bus")

    def send(self, data: bytes) -> None:
        """Put a packet on the wire: it takes its frames, and the firmware works on it until it has to wait.

        :raises OSError: the key has gone.
        """
        self._clock.reach_us(self._clock.now_us + FRAME_US * max(1, -(-len(data) // BYTES_PER_FRAME)))
        fails_us = self._board.rail.fails_us
        if fails_us is not None and fails_us <= self._clock.now_us and not self._board.rail.dead:
            self._board.rail.fail(fails_us)
        if self._board.firmware is None or self._board.boots != self._boot or self._board.rail.dead:
            raise self._gone()
        self._board.deliver(self._name, data, self._clock.now_us)

    def receive(self) -> bytes:
        """The next packet; the clock stands at the instant at which it was on the wire.

        :raises OSError: the key has gone.
        :raises HarnessFault: the twin will never send one.
        """
        board = self._board
        while not board.to_host:
            if board.boots != self._boot or board.firmware is None or board.rail.dead:
                raise self._gone()
            if not board.advance():
                raise HarnessFault("a client waits for a packet that the twin will never send")
        packet = board.to_host[0]
        fails_us = board.rail.fails_us
        if board.boots != self._boot or (fails_us is not None and packet.at_us > fails_us):
            if not board.rail.dead and fails_us is not None:
                board.rail.fail(fails_us)
                board.firmware = None
            board.to_host.clear()
            raise self._gone()
        board.to_host.popleft()
        self._clock.reach_us(packet.at_us)
        return packet.data

    def close(self) -> None:
        """A twin keeps nothing for a connection."""


class TwinPackets(_Endpoint):
    """A twin's CTAPHID interface: 64-byte reports."""

    def __init__(self, board: Board, clock: VirtualClock):
        super().__init__(board, clock, CTAPHID)


class TwinApdus(_Endpoint):
    """A twin's card side."""

    def __init__(self, board: Board, clock: VirtualClock, atr: bytes):
        super().__init__(board, clock, CARD)
        self._atr = atr

    def connect(self) -> None:
        """A twin's card is ready when the key is up."""

    def disconnect(self) -> None:
        """A twin keeps nothing for a connection."""

    def atr(self) -> bytes:
        return self._atr

    def exchange(self, apdu: bytes) -> bytes:
        """Send a command APDU; the response APDU. Errors as `send` and `receive`."""
        self.send(apdu)
        return self.receive()


class TwinReports(_Endpoint):
    """A twin's HID feature reports."""

    def __init__(self, board: Board, clock: VirtualClock):
        super().__init__(board, clock, FEATURE)

    def get(self) -> bytes:
        """The report that the firmware offers now."""
        return self.receive()
