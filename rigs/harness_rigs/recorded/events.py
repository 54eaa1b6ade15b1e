"""What a recorded firmware does to its files, as it is recorded: one event for each system call that changes them."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

CHANGES = frozenset(
    {"write", "truncate", "create", "mkdir", "rmdir", "unlink", "rename", "symlink", "link", "chmod"}
    | {"program", "erase"}
)
"""Kinds of events that change the state. "fsync" only says what has to be on the disk, and a change that the system has
"refused" only counts where changes are counted."""


@dataclass(frozen=True, slots=True)
class FileEvent:
    """One system call, or one request to the flash behind a driver.

    :ivar path: relative to the working directory; also `to` of a rename or a link.
    :ivar offset: of a write. :ivar size: after a truncate; of what is programmed or erased.
    :ivar mode: of what is made, or set.
    :ivar target: of a symbolic link.
    :ivar mapped: a write of what a mapped file holds, which the kernel makes.
    :ivar start_us: on the host's monotonic clock, as `end_us`.
    """

    kind: str
    path: str
    start_us: int
    end_us: int
    offset: int = 0
    data: bytes = b""
    size: int = 0
    mode: int = 0
    to: str = ""
    target: str = ""
    mapped: bool = False

    @property
    def changes(self) -> bool:
        return self.kind in CHANGES


def read(row: dict[str, Any]) -> FileEvent:
    """Read an event as the recording file system sends it: `data` is base64.

    :raises KeyError, TypeError, ValueError: it is not that.
    """
    return FileEvent(**{**row, "data": base64.b64decode(row.get("data", ""))})
