"""Feature, output and input reports through a hidraw node (Linux, include/uapi/linux/hidraw.h)."""

from __future__ import annotations

import errno
import fcntl
import os
import select

REPORT_NUMBER = b"\x00"
"""Reports of these boards have no number: hidraw wants a zero in its place."""


def set_feature_request(size: int) -> int:
    """HIDIOCSFEATURE(size): _IOC(READ | WRITE, 'H', 6, size); the number's byte counts."""
    return 0xC0004806 | size << 16


def get_feature_request(size: int) -> int:
    """HIDIOCGFEATURE(size)."""
    return 0xC0004807 | size << 16


class Hidraw:
    """An open hidraw node.

    :param fd: its descriptor, which is closed with this.
    """

    def __init__(self, fd: int):
        self.fd = fd

    def close(self) -> None:
        os.close(self.fd)

    def set_feature(self, data: bytes) -> None:
        report = REPORT_NUMBER + data
        fcntl.ioctl(self.fd, set_feature_request(len(report)), report)

    def get_feature(self, size: int) -> bytes:
        report = bytearray(1 + size)
        fcntl.ioctl(self.fd, get_feature_request(len(report)), report)
        return bytes(report[1:])

    def write(self, data: bytes) -> None:
        os.write(self.fd, REPORT_NUMBER + data)

    def read(self, size: int, limit_s: float) -> bytes:
        """One input report.

        :raises TimeoutError: none comes within the limit.
        """
        if not select.select([self.fd], [], [], limit_s)[0]:
            raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
        report = os.read(self.fd, size)
        if not report:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        return report
