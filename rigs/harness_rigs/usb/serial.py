"""The serial port of a key in its bootloader: pyserial's, with a limit for each call."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from harness_rigs.usb import find as usb_find
from harness_rigs.usb.plugged_key import PluggedKey

BAUD = 115_200
"""A CDC-ACM port has none; pyserial wants a number."""


class UsbSerial:
    """The raw endpoint "serial", for as long as this boot lasts. What is not here is pyserial's own.

    The first byte opens it, and closes the one that was open before: the vendor's client asks for the port several
    times, to see its name and serial number, and speaks through the last one.

    :ivar port: its name. :ivar serial_number: what the key shows on USB.
    """

    def __init__(self, key: PluggedKey, node: Path, serial_number: str):
        self._key, self._node, self.serial_number = key, node, serial_number
        self.port = str(node)
        self._limit_s = key.options.answer_s
        self._port: Any = None
        self._closed = False

    @property
    def timeout(self) -> float:
        return self._limit_s

    @timeout.setter
    def timeout(self, limit_s: float | None) -> None:
        """None, which is no limit in pyserial, is the rig's limit here."""
        most_s = self._key.options.answer_s
        self._limit_s = most_s if limit_s is None else min(limit_s, most_s)
        if self._port is not None:
            self._port.timeout = self._limit_s

    def _opened(self) -> Any:
        """:raises OSError: the power has gone since.
        :raises RigError: it may not be opened, or another program has it open.
        """
        if self._closed:
            raise OSError(errno.ENODEV, f"{self.port} is gone from the bus")
        if self._port is None:
            key = self._key
            if key.serial_in_use is not None:
                key.serial_in_use.close()
            try:
                self._port = key.host.open_serial(self._node, BAUD, self._limit_s)
            except OSError as error:
                raise usb_find.not_opened(key.rig, self._node, error) from None
            key.serial_in_use, key.left_us = self, None
        return self._port

    def read(self, size: int = 1) -> bytes:
        """Read `size` bytes, or fewer when the time is up.

        :raises OSError: the key has gone.
        """
        port = self._opened()
        with self._key.answers.timed():
            try:
                got: bytes = port.read(size)
            except OSError:
                self._key.note_lost()
                raise
        return got

    def write(self, data: Iterable[int]) -> int:
        """:raises OSError: the key has gone, or takes nothing within the limit."""
        port = self._opened()
        try:
            written: int = port.write(bytes(data))
        except OSError:
            self._key.note_lost()
            raise
        return written

    def close(self) -> None:
        """Close it for now; the client may go on later."""
        port, self._port = self._port, None
        if port is not None:
            port.close()

    @property
    def is_over(self) -> bool:
        return self._closed

    def power_went(self) -> None:
        """Close it for good: its boot is over."""
        self._closed = True
        self.close()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._opened(), name)
