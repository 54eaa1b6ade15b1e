"""The serial port that a key shows in its bootloader: pyserial's, which never waits for ever and says when it broke."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness_rigs.usb import UsbRig


class UsbSerial:
    """Wraps pyserial's Serial; whatever is not here is the port's own.

    :ivar serial_number: what the key shows on USB.
    """

    def __init__(self, rig: UsbRig, port: Any, serial_number: str):
        self._rig, self._port, self.serial_number = rig, port, serial_number

    @property
    def timeout(self) -> float:
        return float(self._port.timeout)

    @timeout.setter
    def timeout(self, limit_s: float | None) -> None:
        """None, which is for ever elsewhere, is the rig's own limit here."""
        most_s = self._rig.options.answer_s
        self._port.timeout = most_s if limit_s is None else min(limit_s, most_s)

    def read(self, size: int = 1) -> bytes:
        """`size` bytes, or fewer when the time is up.

        :raises OSError: the key has gone.
        """
        rig = self._rig
        began_us = rig.clock.now_us
        try:
            got: bytes = self._port.read(size)
        except OSError:
            rig.note_lost()
            raise
        finally:
            rig.talk_us += rig.clock.now_us - began_us
        return got

    def write(self, data: Iterable[int]) -> int:
        """:raises OSError: the key has gone, or takes nothing within the limit."""
        try:
            written: int = self._port.write(bytes(data))
        except OSError:
            self._rig.note_lost()
            raise
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)
