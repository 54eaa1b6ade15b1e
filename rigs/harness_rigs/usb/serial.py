"""The serial port that a key shows in its bootloader: pyserial's, which never waits for ever and says when it broke."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness_rigs.usb import find as usb_find

if TYPE_CHECKING:
    from harness_rigs.usb.rig import UsbRig

BAUD = 115_200
"""A CDC-ACM port has none; pyserial wants a number."""


class UsbSerial:
    """A serial port for as long as this boot lasts; whatever is not here is pyserial's own.

    It is opened by the first byte, and then alone: the vendor's client asks for the port several times, to see its
    name and serial number, and speaks through the last one.

    :ivar port: its name. :ivar serial_number: what the key shows on USB.
    """

    def __init__(self, rig: UsbRig, node: Path, serial_number: str):
        self._rig, self._node, self.serial_number = rig, node, serial_number
        self.port = str(node)
        self._limit_s = rig.options.answer_s
        self._port: Any = None
        self._closed = False

    @property
    def timeout(self) -> float:
        return self._limit_s

    @timeout.setter
    def timeout(self, limit_s: float | None) -> None:
        """None, which is for ever elsewhere, is the rig's own limit here."""
        most_s = self._rig.options.answer_s
        self._limit_s = most_s if limit_s is None else min(limit_s, most_s)
        if self._port is not None:
            self._port.timeout = self._limit_s

    def _opened(self) -> Any:
        """:raises OSError: the power has gone since.
        :raises RigError: it may not be opened, or somebody else has it open.
        """
        if self._closed:
            raise OSError(errno.ENODEV, f"{self.port} is gone from the bus")
        if self._port is None:
            self._rig.alone(self)
            try:
                self._port = self._rig.host.open_serial(self._node, BAUD, self._limit_s)
            except OSError as error:
                raise usb_find.not_opened(self._rig.name, self._node, error) from None
            self._rig.left_us = None
        return self._port

    def read(self, size: int = 1) -> bytes:
        """`size` bytes, or fewer when the time is up.

        :raises OSError: the key has gone.
        """
        rig, port = self._rig, self._opened()
        began_us = rig.clock.now_us
        try:
            got: bytes = port.read(size)
        except OSError:
            rig.note_lost()
            raise
        finally:
            rig.talk_us += rig.clock.now_us - began_us
        return got

    def write(self, data: Iterable[int]) -> int:
        """:raises OSError: the key has gone, or takes nothing within the limit."""
        port = self._opened()
        try:
            written: int = port.write(bytes(data))
        except OSError:
            self._rig.note_lost()
            raise
        return written

    def close(self) -> None:
        """The client has done with it; it may go on later."""
        port, self._port = self._port, None
        if port is not None:
            port.close()

    def power_went(self) -> None:
        """It is of a boot that is over."""
        self._closed = True
        self.close()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._opened(), name)
