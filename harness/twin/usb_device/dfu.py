"""The bootloader of a key as a USB device: Device Firmware Upgrade (DFU 1.1), in its DFU mode.

The firmware behind it offers feature reports (`OffersReports`) of seven bytes: the six that GETSTATUS answers at that
instant, and the state. It receives each request as its eight bytes of setup and its data, after it was answered.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from harness.twin.usb_device.function import (
    Numbers,
    Pipe,
    RunningFunction,
    Setup,
    Stall,
    Ways,
    interface_descriptor,
)

APPLICATION_SPECIFIC, UPGRADE, DFU_MODE = 0xFE, 0x01, 0x02
FUNCTIONAL = 0x21
CAN_DOWNLOAD, WILL_DETACH = 0x01, 0x08
DETACH_TIMEOUT_MS = 255
VERSION = 0x0110
IDLE = 2
STATUS_BYTES = 6
SETUP = struct.Struct("<BBHHH")


class Ask(IntEnum):
    """Class requests (DFU 1.1, section 3)."""

    DOWNLOAD, GET_STATUS, CLEAR_STATUS, GET_STATE, ABORT = 1, 3, 4, 5, 6


@dataclass(frozen=True)
class Dfu:
    """A bootloader that takes an image and gives none back.

    :ivar transfer_size: the most bytes of one download.
    """

    transfer_size: int = 1024

    def start(self, numbers: Numbers, ways: Ways, clock: Callable[[], int]) -> RunningDfu:
        return RunningDfu(self, numbers, ways)


class RunningDfu(RunningFunction):
    """Everything goes by control requests: the interface has no pipes."""

    pipes: tuple[Pipe, ...] = ()

    def __init__(self, kind: Dfu, numbers: Numbers, ways: Ways):
        self._kind, self._ways = kind, ways
        self.interfaces = ((numbers.next_interface(), APPLICATION_SPECIFIC, UPGRADE, DFU_MODE),)

    def _functional(self) -> bytes:
        """DFU 1.1, table 4.2."""
        attributes = CAN_DOWNLOAD | WILL_DETACH
        sizes = (DETACH_TIMEOUT_MS, self._kind.transfer_size, VERSION)
        return struct.pack("<BBBHHH", 9, FUNCTIONAL, attributes, *sizes)

    def descriptors(self) -> bytes:
        return interface_descriptor(self.interfaces[0], 0) + self._functional()

    def control(self, setup: Setup, data: bytes) -> bytes:
        shown = self._ways.shown() or bytes(STATUS_BYTES + 1)
        whole = SETUP.pack(*setup) + data
        match setup.request_type, setup.request:
            case 0x81, 0x06 if setup.value >> 8 == FUNCTIONAL:
                return self._functional()
            case 0xA1, Ask.GET_STATUS:
                self._ways.to_key(whole)
                return shown[:STATUS_BYTES]
            case 0xA1, Ask.GET_STATE:
                return shown[STATUS_BYTES:]
            case 0x21, Ask.CLEAR_STATUS | Ask.ABORT:
                self._ways.to_key(whole)
                return b""
            case 0x21, Ask.DOWNLOAD if len(data) <= self._kind.transfer_size:
                self._ways.to_key(whole)
                # Nothing was downloaded that an empty block could end.
                if not data and shown[STATUS_BYTES] == IDLE:
                    raise Stall
                return b""
        self._ways.to_key(whole)
        raise Stall

    def received(self, data: bytes) -> None:
        """Do nothing: there is no pipe."""

    def send(self, packet: bytes) -> None:
        """Do nothing: a bootloader sends nothing of its own accord."""
