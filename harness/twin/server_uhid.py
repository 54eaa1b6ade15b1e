"""The HID interface of a served twin as a HID device of this host, through the kernel's /dev/uhid.

CTAPHID, or the feature reports of a key without it. Browsers, ssh and the vendor's tools find it as they find a key in
a port. Only HID is there: no card, no serial port.
Source: Documentation/hid/uhid.rst and include/uapi/linux/uhid.h of Linux.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path

from harness.base.errors import CallerError
from harness.twin.board import Firmware
from harness.twin.endpoints import OffersReports
from harness.twin.server_faces import ServedWire, Wire
from harness.twin.usb_device.hid import Hid
from harness.twin.usb_device.shown import UsbFaces

DEVICE = Path("/dev/uhid")
CTAPHID = "ctaphid"
EVENT_SIZE = 4380
"""sizeof(struct uhid_event)."""
DATA_MAX = 4096
BUS_USB = 3
CREATE = struct.Struct("<I128s64s64sHHIIII4096s")
"""Type, name, phys, uniq, size of the descriptor, bus, vendor, product, version, country, descriptor."""
INPUT = struct.Struct("<IH4096s")
NUMBER = struct.Struct("<I")
OFF_THE_BUS_US = 200_000
EIO = 5
FEATURE_REPORT, OUTPUT_REPORT = 0, 1
"""enum uhid_report_type."""
SET_HEAD = struct.Struct("<IBBH")
"""Number of the request, number of the report, its type, size."""


class Event(IntEnum):
    """Types of events."""

    DESTROY = 1
    OUTPUT = 6
    GET_REPORT = 9
    GET_REPORT_REPLY = 10
    CREATE2 = 11
    INPUT2 = 12
    SET_REPORT = 13
    SET_REPORT_REPLY = 14


class UhidWire(ServedWire):
    """A HID device for as long as the key shows its application.

    :raises CallerError: this host has no /dev/uhid, or it may not be opened; or the key has no such interface.
    """

    def __init__(self, faces: UsbFaces, device: Path = DEVICE):
        self._faces = faces
        self._clock: Callable[[], int] = lambda: 0
        self._is_there = False
        self._was_there = False
        self._create_at_us: int | None = None
        self._firmware: Firmware | None = None
        found = _hid_of(faces)
        if found is None:
            raise CallerError(
                "--uhid", found="a key without a HID interface", expected="one with it", mend="omit --uhid"
            )
        self._endpoint, self._hid = found
        try:
            self._fd = os.open(device, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise CallerError(
                f"--uhid: {device}",
                found=error.strerror,
                expected="a kernel with uhid, and the right to open it",
                mend="sudo modprobe uhid, and run this as root; where neither can be had, use --ctaphid-tcp",
            ) from None
        os.set_blocking(self._fd, False)

    def attach(self, clock: Callable[[], int]) -> None:
        self._clock = clock

    def sockets(self) -> list[Wire]:
        return [self._fd]

    def arrived(self, sock: Wire) -> list[tuple[str, bytes]]:
        try:
            event = os.read(self._fd, EVENT_SIZE)
        except BlockingIOError:
            return []
        (kind,) = NUMBER.unpack_from(event)
        rest = event[NUMBER.size :]
        if kind == Event.OUTPUT:
            size, report_type = struct.unpack_from("<HB", rest, DATA_MAX)
            data = rest[:size]
            # The first byte is the number of the report, 0 where reports have none.
            return [(self._endpoint, data[1:])] if report_type == OUTPUT_REPORT and self._is_there else []
        if kind == Event.GET_REPORT:
            number, _, report_type = struct.unpack_from("<IBB", rest)
            report = self._feature() if report_type == FEATURE_REPORT else None
            # The number of the report stands before it, also where reports have none.
            data, error = (b"", EIO) if report is None else (b"\0" + report, 0)
            self._write(struct.pack("<IIHH", Event.GET_REPORT_REPLY, number, error, len(data)) + data)
        elif kind == Event.SET_REPORT:
            number, _, report_type, size = SET_HEAD.unpack_from(rest.ljust(SET_HEAD.size, b"\0"))
            report = rest[SET_HEAD.size :][:size][1:]
            taken = self._is_there and report_type == FEATURE_REPORT and len(report) == self._hid.feature_size
            taken = taken and bool(report)
            self._write(struct.pack("<IIH", Event.SET_REPORT_REPLY, number, 0 if taken else EIO))
            return [(self._endpoint, report)] if taken else []
        return []

    def _feature(self) -> bytes | None:
        """The feature report that the key shows now; None: it has none."""
        firmware = self._firmware
        if not self._is_there or not self._hid.feature_size or not isinstance(firmware, OffersReports):
            return None
        return firmware.report(self._endpoint, self._clock())

    def answer(self, endpoint: str, data: bytes, asker: object) -> None:
        if endpoint == self._endpoint and self._is_there and not self._hid.feature_size:
            self._write(INPUT.pack(Event.INPUT2, len(data), data))

    def replugged(self) -> None:
        self._destroy()

    def show(self, firmware: Firmware | None) -> None:
        self._destroy()
        self._firmware = firmware
        if firmware is None or self._endpoint not in self._faces.functions(firmware.face):
            return
        if self._was_there:
            self._create_at_us = self._clock() + OFF_THE_BUS_US
        else:
            self._create()
        self._was_there = True

    def next_event_us(self) -> int | None:
        return self._create_at_us

    def advance(self, now_us: int) -> None:
        if self._create_at_us is not None and now_us >= self._create_at_us:
            self._create()

    def _create(self) -> None:
        self._create_at_us = None
        device = self._firmware and self._faces.device(self._firmware, lambda *_: None, self._clock)
        if not device:
            return
        who = device.identity
        name = f"{who.manufacturer} {who.product}".strip().encode()[:127]
        self._write(
            CREATE.pack(
                *(Event.CREATE2, name, b"keyharness", who.serial_number.encode()[:63]),
                *(len(self._hid.report_descriptor), BUS_USB, who.vendor_id, who.product_id, who.release, 0),
                self._hid.report_descriptor,
            )
        )
        self._is_there = True

    def _destroy(self) -> None:
        self._create_at_us = None
        if self._is_there:
            self._is_there = False
            self._write(NUMBER.pack(Event.DESTROY))

    def _write(self, event: bytes) -> None:
        # One event for each write; the kernel refuses one that no longer fits the device's state.
        with contextlib.suppress(OSError):
            os.write(self._fd, event)

    def close(self) -> None:
        os.close(self._fd)


def _hid_of(faces: UsbFaces) -> tuple[str, Hid] | None:
    """The endpoint that is shown, and how: CTAPHID, or else the first HID interface."""
    found = {
        name: function
        for name, function in faces.functions("application").items()
        if isinstance(function, Hid)
    }
    if CTAPHID in found:
        return CTAPHID, found[CTAPHID]
    return next(iter(found.items()), None)
