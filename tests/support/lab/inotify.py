"""inotify(7), as much of it as tells who wrote to an attribute file of the laboratory's /sys."""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_IN_MODIFY = 2
_HEAD = struct.Struct("iIII")


def open_watch() -> int:
    """A descriptor that becomes readable when a watched file is written to."""
    fd: int = _LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "inotify_init1")
    return fd


def watch_writes(fd: int, file: Path) -> int:
    """Watch a file; returns the number under which `written` names it."""
    wd: int = _LIBC.inotify_add_watch(fd, os.fsencode(file), _IN_MODIFY)
    if wd < 0:
        raise OSError(ctypes.get_errno(), f"inotify_add_watch {file}")
    return wd


def written(fd: int) -> list[int]:
    """The numbers of the files that were written to."""
    data, at, numbers = os.read(fd, 65536), 0, []
    while at < len(data):
        number, _, _, size = _HEAD.unpack_from(data, at)
        at += _HEAD.size + size
        numbers.append(number)
    return numbers
