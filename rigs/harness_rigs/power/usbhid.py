"""The same reports through pyusb, for hosts without hidraw (USB HID 1.11, section 7.2)."""

from __future__ import annotations

import errno
import os
from typing import Any

from harness_rigs.power.usbdevice import TRANSFER_MS

GET_REPORT, SET_REPORT = 1, 9
OUTPUT, FEATURE = 0x0200, 0x0300
OUT_CLASS_DEVICE, IN_CLASS_DEVICE, OUT_CLASS_INTERFACE = 0x20, 0xA0, 0x21


class UsbHid:
    """A HID device that pyusb has opened.

    Feature reports are addressed to the device, not to its interface, as the boards' own library does; so the
    kernel's driver may keep the interface.
    """

    def __init__(self, device: Any):
        self._device = device

    def set_feature(self, data: bytes) -> None:
        self._device.ctrl_transfer(OUT_CLASS_DEVICE, SET_REPORT, FEATURE, 0, data, TRANSFER_MS)

    def get_feature(self, size: int) -> bytes:
        return bytes(self._device.ctrl_transfer(IN_CLASS_DEVICE, GET_REPORT, FEATURE, 0, size, TRANSFER_MS))

    def write(self, data: bytes) -> None:
        out = self._endpoint(0x00)
        if out is None:
            self._device.ctrl_transfer(OUT_CLASS_INTERFACE, SET_REPORT, OUTPUT, 0, data, TRANSFER_MS)
        else:
            self._device.write(out, data, TRANSFER_MS)

    def read(self, size: int, limit_s: float) -> bytes:
        """One input report.

        :raises TimeoutError: none comes within the limit.
        """
        try:
            return bytes(self._device.read(self._endpoint(0x80), size, round(limit_s * 1000)))
        except OSError as error:
            if error.errno == errno.ETIMEDOUT:
                raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)) from None
            raise

    def _endpoint(self, direction: int) -> int | None:
        interface = self._device[0][(0, 0)]
        found = [end.bEndpointAddress for end in interface if end.bEndpointAddress & 0x80 == direction]
        return found[0] if found else None
