"""The HID feature reports of a key on hidraw (Linux, Documentation/hid/hidraw.rst).

Each report is one control transfer, with the number 0 before it: these keys number none. The kernel gives a transfer
five seconds. Once the device has gone it fails with ENODEV or EIO; if the hub did not tell the kernel, with ETIMEDOUT,
EPIPE or EPROTO.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Protocol

from harness.api import Host, UsbDevice
from harness_rigs.usb import find as usb_find

REPORT_BYTES = 64
NUMBER = b"\0"
_GONE = {errno.ENODEV, errno.EIO, errno.EPIPE, errno.ENXIO, errno.ESHUTDOWN, errno.EBADF}


def set_feature(size: int) -> int:
    """HIDIOCSFEATURE(size): _IOC(READ | WRITE, 'H', 6, size); the number's byte counts."""
    return 0xC0004806 | size << 16


def get_feature(size: int) -> int:
    """HIDIOCGFEATURE(size)."""
    return 0xC0004807 | size << 16


class FeatureKey(Protocol):
    """What a node needs of the key: its host and device, and whom to tell of a loss."""

    rig: str
    host: Host
    left_us: int | None
    broken: UsbDevice | None

    @property
    def device(self) -> UsbDevice | None: ...

    def keep(self, connection: FeatureNode) -> None: ...

    def note_lost(self) -> None: ...


def open_feature(key: FeatureKey, node: Path) -> FeatureNode:
    """Open a hidraw node of the key; it is closed when the power has gone.

    :raises RigError: this user may not open it.
    :raises KeyGone: it has gone meanwhile.
    """
    try:
        connection = FeatureNode(key, key.host.open_hidraw(node))
    except OSError as error:
        raise usb_find.not_opened(key.rig, node, error) from None
    key.left_us = None
    key.keep(connection)
    return connection


class FeatureNode:
    """The raw endpoint "hid-feature", for as long as the key stays on the bus."""

    def __init__(self, key: FeatureKey, fd: int):
        self._key = key
        self._fd: int | None = fd
        self._device = key.device

    @property
    def is_over(self) -> bool:
        return self._fd is None

    def send(self, report: bytes) -> None:
        """SET_REPORT(Feature). :raises OSError: ENODEV: the key has gone."""
        self._transfer(set_feature(1 + len(report)), bytearray(NUMBER + report))

    def get(self) -> bytes:
        """GET_REPORT(Feature). Errors as `send`."""
        report = bytearray(1 + REPORT_BYTES)
        size = self._transfer(get_feature(len(report)), report)
        return bytes(report[1:size])

    def _transfer(self, request: int, report: bytearray) -> int:
        if self._fd is None:
            raise OSError(errno.ENODEV, "the key has been switched off")
        try:
            return self._key.host.ioctl(self._fd, request, report)
        except OSError as error:
            raise self._lost(error) from None

    def _lost(self, error: OSError) -> OSError:
        self._key.note_lost()
        if error.errno in _GONE:
            self._key.broken = self._device
            return OSError(errno.ENODEV, "the key is gone from the bus")
        return OSError(error.errno, f"the key does not answer on the bus: {error.strerror}")

    def close(self) -> None:
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)

    def power_went(self) -> None:
        self.close()
