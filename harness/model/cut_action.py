"""What the cutter's process does at the instant of a cut, as data that can be sent to it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kill:
    """Send SIGKILL to the process behind a pidfd."""

    pidfd: int


@dataclass(frozen=True)
class Write:
    """Write bytes to a file descriptor (a relay on a serial line)."""

    fd: int
    data: bytes


@dataclass(frozen=True)
class Ioctl:
    """Call ioctl on a file descriptor with a buffer (a hub's port by usbfs, a feature report by hidraw)."""

    fd: int
    request: int
    data: bytes


@dataclass(frozen=True)
class Measure:
    """Do nothing; only report the time."""


CutAction = Kill | Write | Ioctl | Measure
