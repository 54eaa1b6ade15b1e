"""Device Firmware Upgrade (DFU 1.1): the requests to a bootloader, with a tap on them.

The raw endpoint "dfu" has the shape of feature reports: what is sent is a control request (eight bytes of setup, then
the data), and what is read is the answer to GETSTATUS at that instant and the state, seven bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from harness.api import Reachable, Tap, TransportKind, wrong_endpoint
from harness_transports.endpoints import FeatureReports

SETUP = struct.Struct("<BBHHH")
"""Request type, request, value, index, length (USB 2.0, table 9-2)."""
REPORT = struct.Struct("<B3sBBB")
"""Status, poll timeout in milliseconds, state that GETSTATUS answers, index of a string, state."""


class Ask(IntEnum):
    """Class requests (section 3)."""

    DETACH, DOWNLOAD, UPLOAD, GET_STATUS, CLEAR_STATUS, GET_STATE, ABORT = range(7)


class State(IntEnum):
    """States of the device (section 6.1.2)."""

    IDLE, DOWNLOAD_SYNC, BUSY, DOWNLOAD_IDLE, MANIFEST_SYNC, MANIFEST = 2, 3, 4, 5, 6, 7
    ERROR = 10


class Status(IntEnum):
    """Results (section 6.1.2)."""

    OK, WRONG_ADDRESS, NOT_WRITTEN, WRONG_FIRMWARE, STALLED = 0, 8, 7, 10, 15


@dataclass(frozen=True)
class Shown:
    """An answer to GETSTATUS. :ivar poll_us: how long to wait until the next one."""

    status: int
    poll_us: int
    state: int


def request(ask: Ask, value: int = 0, data: bytes = b"", length: int | None = None) -> bytes:
    """A control request as the endpoint takes it."""
    kind = 0xA1 if ask in (Ask.GET_STATUS, Ask.GET_STATE, Ask.UPLOAD) else 0x21
    return SETUP.pack(kind, ask, value & 0xFFFF, 0, len(data) if length is None else length) + data


class DfuHandle:
    """Marks: `chunk` after each download, `request-sent` after other requests, `status` with each answer.

    None of the answers says that an update is done: the key that comes back does.
    """

    def __init__(self, reports: FeatureReports, tap: Tap):
        self._reports, self._tap = reports, tap

    def download(self, block: int, data: bytes) -> None:
        """DNLOAD: a block of the image; an empty one ends it."""
        self._send(request(Ask.DOWNLOAD, block, data), "chunk")

    def status(self) -> Shown:
        """GETSTATUS: what the device does next, it does after this answer."""
        report = self._reports.get()
        self._send(request(Ask.GET_STATUS, length=6), "request-sent")
        status, poll, state, _, _ = REPORT.unpack(report[: REPORT.size].ljust(REPORT.size, b"\0"))
        self._tap.saw("<", report)
        self._tap.mark("status", status)
        return Shown(status, int.from_bytes(poll, "little") * 1000, state)

    def clear(self) -> None:
        """CLRSTATUS: leave the state of an error."""
        self._send(request(Ask.CLEAR_STATUS), "request-sent")

    def abort(self) -> None:
        """ABORT: back to the idle state."""
        self._send(request(Ask.ABORT), "request-sent")

    def _send(self, whole: bytes, mark: str) -> None:
        self._tap.saw(">", whole)
        self._reports.send(whole)
        self._tap.mark(mark)


def _handle(rig: Reachable, endpoint: object) -> DfuHandle:
    if not isinstance(endpoint, FeatureReports):
        raise wrong_endpoint(rig, "dfu", endpoint, "send(request) and get()")
    return DfuHandle(endpoint, rig.tap)


DFU = TransportKind("dfu", "Device Firmware Upgrade", _handle)


def dfu(rig: Reachable) -> DfuHandle:
    """A new handle for the bootloader of the key, tapped; errors as `ctaphid`."""
    return rig.transports.open(DFU)
