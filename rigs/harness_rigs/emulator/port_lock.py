"""Lock the fixed ports of emulators that run without a network namespace: one emulator at a time on each port."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Sequence

from harness.api import RigError, host_lock_dir, open_lock_file


class PortLock:
    """flock(2) on one file for each port, in the directory of this host's locks, which all users share."""

    def __init__(self, ports: Sequence[int]):
        self._ports = sorted(set(ports))
        self._files: list[int] = []

    def take(self, rig: str) -> None:
        """Lock all ports for a rig.

        :raises RigError: another process has one of them.
        """
        folder = host_lock_dir()
        for port in self._ports:
            path = folder / f"emulator-port-{port}.lock"
            fd = open_lock_file(path)
            self._files.append(fd)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                self.free()
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise
                holder = path.read_text(encoding="utf-8", errors="replace").strip() or "another process"
                raise RigError(
                    f'rig "{rig}": port {port} is in use',
                    found=f"{holder} runs an emulator on it",
                    expected="the port for this rig alone: without network namespaces emulators share ports",
                    mend="wait for the other run to end, name another port, or permit namespaces",
                ) from None
            os.ftruncate(fd, 0)
            os.pwrite(
                fd, f'rig "{rig}" of process {os.getpid()}, since {time.strftime("%H:%M:%S")}'.encode(), 0
            )

    def free(self) -> None:
        while self._files:
            os.close(self._files.pop())
