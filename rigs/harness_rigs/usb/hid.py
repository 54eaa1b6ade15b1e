"""The CTAPHID interface of a key on hidraw: 64-byte reports, each read with a limit.

linux Documentation/hid/hidraw.rst: a write begins with the number of the report, 0 where there is only one; a
read gives a report without it. Once the device has gone, reads end in EIO, writes in ENODEV, and where the hub
did not tell the kernel, in ETIMEDOUT or EPROTO.
"""

from __future__ import annotations

import errno
import os
import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness_rigs.usb.rig import UsbRig

REPORT_BYTES = 64
_GONE = {errno.ENODEV, errno.EIO, errno.EPIPE, errno.ECONNRESET, errno.ENXIO, errno.ESHUTDOWN, errno.EBADF}


class Hidraw:
    """The raw endpoint "ctaphid", for as long as the key stays on the bus. The rig closes it when the power has gone.

    :ivar fd: None once it is closed.
    """

    def __init__(self, rig: UsbRig, fd: int):
        self._rig, self.fd = rig, fd
        self._device = rig.device
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)

    def _open(self) -> int:
        if self.fd is None:
            raise OSError(errno.ENODEV, "the key has been switched off")
        return self.fd

    def send(self, data: bytes) -> None:
        fd = self._open()
        try:
            os.write(fd, b"\0" + data)
        except OSError as error:
            raise self._lost(error) from None
        self._rig.finger.sent(data)

    def receive(self) -> bytes:
        rig, fd = self._rig, self._open()
        began_us = rig.clock.now_us
        until_us = began_us + round(rig.options.answer_s * 1e6)
        try:
            while (now_us := rig.clock.now_us) < until_us:
                due_us = rig.finger.due_us
                wait_us = (until_us if due_us is None else min(due_us, until_us)) - now_us
                # Rounded up: a poll of 0 ms would spin until the instant has come.
                if self._poll.poll(max(0, -(-wait_us // 1000))):
                    packet = self._read(fd)
                    rig.finger.received(packet)
                    return packet
                rig.finger.press_if_due()
        finally:
            rig.talk_us += rig.clock.now_us - began_us
        rig.note_death(f"hung: no answer within {rig.options.answer_s:g} s")
        raise OSError(errno.ETIMEDOUT, f"no answer within {rig.options.answer_s:g} s")

    def _read(self, fd: int) -> bytes:
        try:
            packet = os.read(fd, REPORT_BYTES)
        except OSError as error:
            raise self._lost(error) from None
        if not packet:
            raise self._lost(OSError(errno.ENODEV, os.strerror(errno.ENODEV)))
        if len(packet) != REPORT_BYTES:
            raise OSError(errno.EPROTO, f"a report of {len(packet)} bytes where {REPORT_BYTES} are due")
        return packet

    def _lost(self, error: OSError) -> OSError:
        self._rig.note_lost()
        if error.errno in _GONE:
            self._rig.broken = self._device
            return OSError(errno.ENODEV, "the key is gone from the bus")
        return OSError(error.errno, f"the key does not answer on the bus: {error.strerror}")

    def close(self) -> None:
        if self.fd is not None:
            self._poll.unregister(self.fd)
            fd, self.fd = self.fd, None  # type: ignore[assignment]
            os.close(fd)
