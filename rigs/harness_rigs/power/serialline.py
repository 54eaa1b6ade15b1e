"""Boards on a serial port: opened for one command at a time, because several processes may share a board.

pyserial opens the port exclusively (flock) and discards what an earlier command left unread. For a cut a second
descriptor is opened beside it, which needs no lock; the cutter writes bytes to it that were made beforehand.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import Field

from harness.api import ActuatorRequest, CutAction, PowerDriver, Write
from harness_rigs.power.board_errors import Unexpected, shown
from harness_rigs.power.descriptor import Descriptor
from harness_rigs.power.switch import Channel, RelayOptions, channel_switch

ANSWER_S = 0.5
CHATTER_MAX = 1024
"""A port that sends more than this without a pause is not one of these boards."""


class SerialRelayOptions(RelayOptions):
    """A relay of a board on a serial port."""

    port: str = Field(pattern="^/dev/.")
    """The node; best one that stays the same: /dev/serial/by-path/..., or by-id if the board has a serial."""
    channel: int = Field(default=1, ge=1)


def serial_channel(driver: str, options: SerialRelayOptions) -> str:
    """Name of a channel, by the device that the links lead to."""
    return f"{driver} {os.path.realpath(options.port)} channel {options.channel}"


class SerialChannel(Channel):
    """A channel of a board on a serial port.

    :param request: its options are a SerialRelayOptions.
    :cvar baud: what the port is opened with, 8N1.
    """

    baud = 9600

    def __init__(self, request: ActuatorRequest):
        options: SerialRelayOptions = request.options
        self._host, self._path = request.host, request.host.root / options.port.lstrip("/")
        self.number = options.channel
        self.node = options.port
        self.name = f"channel {options.channel} at port {options.port}"
        self.board = f"board {os.path.realpath(self._path)}"
        self._port: Any = None
        self._cut_handle: Descriptor | None = None

    @abstractmethod
    def command(self, active: bool) -> bytes:
        """The bytes that switch it."""

    def answered(self) -> None:
        """Read what the board answers to `command`; by default nothing."""

    @contextmanager
    def opened(self) -> Iterator[None]:
        self._port = self._host.open_serial(self._path, self.baud, ANSWER_S)
        try:
            yield
        finally:
            self._port.close()
            self._port = None

    def set(self, active: bool) -> None:
        self.send(self.command(active))
        self.answered()

    def send(self, data: bytes) -> None:
        self._port.write(data)
        self._port.flush()

    def receive(self, size: int) -> bytes:
        """Read exactly `size` bytes.

        :raises Unexpected: fewer arrive within the limit.
        """
        data: bytes = self._port.read(size)
        if len(data) < size:
            raise Unexpected(shown(data), f"{size} bytes within {ANSWER_S:g} s")
        return data

    def receive_until_quiet(self, first_s: float, quiet_s: float) -> bytes:
        """Read until nothing has arrived for `quiet_s`; wait for the first byte for `first_s`."""
        self._port.timeout = first_s
        data = bytearray()
        while len(data) < CHATTER_MAX and (part := self._port.read(max(1, self._port.in_waiting))):
            data += part
            self._port.timeout = quiet_s
        self._port.timeout = ANSWER_S
        return bytes(data)

    def cut_action(self, active: bool) -> CutAction | None:
        self._cut_handle = Descriptor(self._path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        # Baud and framing stay as pyserial sets them as long as the port is open anywhere.
        with self.opened():
            return Write(self._cut_handle.fd, self.command(active))

    def close_cut_action(self) -> None:
        if self._cut_handle is not None:
            self._cut_handle.close()
            self._cut_handle = None


def serial_driver(
    kind: type[SerialChannel], title: str, options: type[SerialRelayOptions] = SerialRelayOptions
) -> PowerDriver:
    """The power driver of a kind of relay board on a serial port.

    :param kind: its `driver` is the driver's name in a bench.
    """
    return PowerDriver(
        kind.driver,
        title,
        options,
        lambda request: channel_switch(request, kind(request)),
        lambda chosen: serial_channel(kind.driver, chosen),
    )
