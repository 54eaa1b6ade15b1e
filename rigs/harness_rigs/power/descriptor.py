"""A file descriptor that is closed with the object that owns it."""

from __future__ import annotations

import os
from pathlib import Path


class Descriptor:
    """An open file.

    :param flags: as for os.open; it is never inherited.
    :raises OSError: it cannot be opened.
    """

    def __init__(self, path: Path | None, flags: int = 0, *, fd: int = -1):
        self.fd = -1
        self.fd = fd if path is None else os.open(path, flags | os.O_CLOEXEC)

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __del__(self) -> None:
        self.close()
