"""HID interfaces of a key on hidraw, each report read with a limit: CTAPHID, and NXP's bootloader.

Linux, Documentation/hid/hidraw.rst: a write begins with the number of the report, 0 where there is only one; a read
returns a report without it. Once the device has gone, reads fail with EIO and writes with ENODEV; if the hub did not
tell the kernel, with ETIMEDOUT or EPROTO.
"""

from __future__ import annotations

import errno
import math
import os
import select
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from harness_rigs.usb import find as usb_find
from harness_rigs.usb.plugged_key import PluggedKey

REPORT_BYTES = 64
LONGEST_REPORT = 4096
"""A read returns one report; no key's is longer."""
_GONE = {errno.ENODEV, errno.EIO, errno.EPIPE, errno.ECONNRESET, errno.ENXIO, errno.ESHUTDOWN, errno.EBADF}


Node = TypeVar("Node", bound="ReportNode")


def open_reports(key: PluggedKey, node: Path, kind: Callable[[PluggedKey, int], Node]) -> Node:
    """Open a hidraw node of the key; it is closed when the power has gone.

    :raises RigError: this user may not open it.
    :raises KeyGone: it has gone meanwhile.
    """
    try:
        connection = kind(key, key.host.open_hidraw(node))
    except OSError as error:
        raise usb_find.not_opened(key.rig, node, error) from None
    key.left_us = None
    key.keep(connection)
    return connection


class ReportNode:
    """Input and output reports as hidraw has them, for as long as the key stays on the bus.

    :ivar fd: None once it is closed.
    """

    def __init__(self, key: PluggedKey, fd: int):
        self._key = key
        self.fd: int | None = fd
        self._device = key.device
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)

    @property
    def is_over(self) -> bool:
        return self.fd is None

    def _open(self) -> int:
        if self.fd is None:
            raise OSError(errno.ENODEV, "the key has been switched off")
        return self.fd

    def send(self, data: bytes) -> None:
        fd = self._open()
        try:
            os.write(fd, data)
        except OSError as error:
            raise self._lost(error) from None

    def receive(self) -> bytes:
        key, fd = self._key, self._open()
        packet = key.answers.until(lambda limit_s: self._next_or_cut(fd, limit_s))
        if packet == b"":
            # Behind some hubs the kernel notices no loss: this key is not silent, it has no power.
            packet = self._next(fd, key.options.gone_s)
            if packet is None:
                key.note_lost()
                raise OSError(errno.ENODEV, "its power was cut, and nothing came any more")
        if packet is None:
            key.note_hang()
            raise OSError(errno.ETIMEDOUT, key.answers.limit_words())
        return packet

    def _next_or_cut(self, fd: int, limit_s: float) -> bytes | None:
        """The next report; b"" if the armed cut fires first."""
        cut_fd = self._key.cut_fd()
        if cut_fd is None:
            return self._next(fd, limit_s)
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        poll.register(cut_fd, select.POLLIN)
        ready = {at for at, _ in poll.poll(math.ceil(limit_s * 1000))}
        if fd in ready:
            return self._read(fd)
        return b"" if ready else None

    def _next(self, fd: int, limit_s: float) -> bytes | None:
        # Rounded up: a poll of 0 ms would spin until the limit has passed.
        return self._read(fd) if self._poll.poll(math.ceil(limit_s * 1000)) else None

    def _read(self, fd: int) -> bytes:
        try:
            packet = os.read(fd, LONGEST_REPORT)
        except OSError as error:
            raise self._lost(error) from None
        if not packet:
            raise self._lost(OSError(errno.ENODEV, os.strerror(errno.ENODEV)))
        return packet

    def _lost(self, error: OSError) -> OSError:
        self._key.note_lost()
        if error.errno in _GONE:
            self._key.broken = self._device
            return OSError(errno.ENODEV, "the key is gone from the bus")
        return OSError(error.errno, f"the key does not answer on the bus: {error.strerror}")

    def close(self) -> None:
        if self.fd is not None:
            self._poll.unregister(self.fd)
            fd, self.fd = self.fd, None
            os.close(fd)

    def power_went(self) -> None:
        self.close()


class CtaphidNode(ReportNode):
    """The raw endpoint "ctaphid": 64-byte reports without a number."""

    def send(self, data: bytes) -> None:
        super().send(b"\0" + data)
        self._key.touch.sent(data)

    def receive(self) -> bytes:
        packet = super().receive()
        if len(packet) != REPORT_BYTES:
            raise OSError(errno.EPROTO, f"a report of {len(packet)} bytes where {REPORT_BYTES} are due")
        self._key.touch.received(packet)
        return packet


class MbootNode(ReportNode):
    """The raw endpoint "mboot": reports behind their numbers, which hidraw carries as they are."""
