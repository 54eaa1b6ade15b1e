"""The host's end of a twin's raw endpoints, in virtual time. Each object lasts for one boot.

A twin names its endpoints (`TwinModel.endpoints`) and gives each a shape. The shapes are what the transport
kinds of `harness_transports` build on:

    packets   send(data), receive() -> bytes                     e.g. "ctaphid": 64-byte reports
    apdus     connect(), exchange(apdu) -> bytes, atr()          e.g. "card": ISO 7816-4
    bytes     write, read, timeout, port: pyserial's Serial      e.g. "serial" (`harness.twin.serial`)
    reports   send(report), get() -> bytes                       e.g. "hid-feature"

A report is read whenever the host asks: firmware that implements OffersReports says what it has at that instant.

Every endpoint has a queue of its own on the board; one clock stamps the packets of all of them. Whatever is on
the wire later than the loss of power never arrives: the clock then stands at the cut and the call raises OSError
(ENODEV; ETIMEDOUT where the firmware halted). An empty queue with nothing to come is a HarnessFault.
"""

from __future__ import annotations

import errno
from typing import Protocol, runtime_checkable

from harness.base.clock import VirtualClock
from harness.twin.board import FRAME_US, Board

BYTES_PER_FRAME = 64
"""A full-speed interrupt or bulk packet; a longer message takes a frame for each 64 bytes."""


class Endpoint:
    """One endpoint of a board: packets in both directions.

    :param name: the board's name of the endpoint.
    """

    def __init__(self, board: Board, clock: VirtualClock, name: str):
        self._board, self._clock, self._name = board, clock, name
        self._boot = board.boots
        self._queue = board.queue(name)

    @property
    def _is_there(self) -> bool:
        board = self._board
        return board.firmware is not None and board.boots == self._boot and not board.rail.dead

    def _gone(self) -> OSError:
        """The error for a key that left; the host's clock moves to the loss of power."""
        failed = self._board.rail.failed_us
        if failed is not None:
            self._clock.reach_us(failed)
        if self._board.panicked:
            return OSError(errno.ETIMEDOUT, "the key halted and does not answer")
        return OSError(errno.ENODEV, "the key is gone from the bus")

    def send(self, data: bytes, duration_us: int | None = None) -> None:
        """Put a packet on the wire; the firmware then works until it has to wait.

        :param duration_us: how long the transfer takes; by default a frame for each 64 bytes.
        :raises OSError: the key has gone.
        """
        if duration_us is None:
            duration_us = FRAME_US * max(1, -(-len(data) // BYTES_PER_FRAME))
        self._clock.reach_us(self._clock.now_us + duration_us)
        fails_us = self._board.rail.fails_us
        if fails_us is not None and fails_us <= self._clock.now_us:
            self._board.lose_power(fails_us)
        if not self._is_there:
            raise self._gone()
        self._board.deliver(self._name, data, self._clock.now_us)

    def receive(self) -> bytes:
        """Take the next packet; the host's clock moves to the instant at which it was on the wire.

        :raises OSError: the key has gone, or it will never send one: a client of a real key waits in vain, too.
        """
        packet = self.poll(None)
        if packet is None:
            raise OSError(errno.ETIMEDOUT, "the key does not answer")
        return packet

    def poll(self, until_us: int | None) -> bytes | None:
        """Take the next packet; None if there will be none, or none before `until_us` of the host's clock.

        :raises OSError: the key has gone.
        """
        board, queue = self._board, self._queue
        while not queue:
            if not self._is_there:
                raise self._gone()
            if not board.advance(until_us):
                return None
        packet = queue[0]
        fails_us = board.rail.fails_us
        if fails_us is not None and packet.at_us > fails_us:
            board.lose_power(fails_us)
            queue.clear()
            raise self._gone()
        if board.boots != self._boot:
            raise self._gone()
        queue.popleft()
        self._clock.reach_us(packet.at_us)
        return packet.data

    def close(self) -> None:
        """Do nothing: a twin keeps nothing for a connection."""


class ApduEndpoint(Endpoint):
    """The card side of a key: command and response APDUs.

    :param atr: the answer to reset.
    """

    def __init__(self, board: Board, clock: VirtualClock, name: str, atr: bytes):
        super().__init__(board, clock, name)
        self._atr = atr

    def connect(self) -> None:
        """Do nothing: a twin's card is ready when the key is up."""

    def disconnect(self) -> None:
        """Do nothing: a twin keeps nothing for a connection."""

    def atr(self) -> bytes:
        """The answer to reset."""
        return self._atr

    def exchange(self, apdu: bytes) -> bytes:
        """Send a command APDU and return the response APDU: data and two status bytes. Errors: see `receive`."""
        self.send(apdu)
        return self.receive()


@runtime_checkable
class OffersReports(Protocol):
    """Firmware that answers each GET_REPORT with what it has by then, as a device does that is polled.

    Without it a twin sends one report for each that it has received.
    """

    def report(self, endpoint: str, at_us: int) -> bytes:
        """The feature report as the host reads it at an instant of the board's clock; changes nothing."""


class ReportEndpoint(Endpoint):
    """HID feature reports."""

    def get(self) -> bytes:
        """GET_REPORT: what the firmware offers now, or the next report that it sent. Errors: see `receive`."""
        board, clock = self._board, self._clock
        # A device that lost its power while it worked has answered up to that instant.
        firmware = self._polled if self._polled is not None and board.boots == self._boot else board.firmware
        if not isinstance(firmware, OffersReports):
            return self.receive()
        self._polled = firmware
        clock.reach_us(clock.now_us + FRAME_US)
        fails_us = board.rail.fails_us
        if fails_us is not None and fails_us <= clock.now_us:
            board.lose_power(fails_us)
            raise self._gone()
        if board.panicked and board.clock.now_us <= clock.now_us:
            raise self._gone()
        if board.boots != self._boot or (board.rail.dead and fails_us is None):
            raise self._gone()
        return firmware.report(self._name, clock.now_us)

    def send(self, data: bytes, duration_us: int | None = None) -> None:
        """SET_REPORT. Errors: see `Endpoint.send`."""
        firmware = self._board.firmware
        if isinstance(firmware, OffersReports):
            self._polled = firmware
        super().send(data, duration_us)

    _polled: OffersReports | None = None
